"""The query of a capture: what its rows are given as, checked before any trigger runs it."""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg2
from psycopg2 import errorcodes

from adapters.postgres.connection import Session
from adapters.postgres.statements import statement
from gateway.core.errors import ConfigError, LogError

SAMPLE_ROWS = 100
"""On how many rows of the table a query is tried."""

_UNNAMED = "?column?"
_QUALIFY = " Write names with their schema: it runs without anybody's search_path."
_ADVICE = {
    errorcodes.UNDEFINED_TABLE: _QUALIFY,
    errorcodes.UNDEFINED_FUNCTION: _QUALIFY,
    errorcodes.UNDEFINED_OBJECT: _QUALIFY,
    errorcodes.UNDEFINED_COLUMN: " `row` has the captured columns of the changed row.",
}
_FAILURES = {
    errorcodes.CARDINALITY_VIOLATION: "it gives several rows for one row of the table: one is the most",
    errorcodes.QUERY_CANCELED: f"it takes over 5 s for {SAMPLE_ROWS} rows of the table, as writes would wait",
}


class ShapeError(ConfigError):
    """A query can't be what rows are given as."""


class Shape(NamedTuple):
    """What a query gives: its members, and whether it reads the captured table itself."""

    members: Sequence[str]
    reads_table: bool


async def shape_of(session: Session, oid: int, columns: Sequence[str], key: str, query: str) -> Shape:
    """Checks the query for rows that have these columns of a table, as a trigger of it would run it.

    It is tried on some of the table's rows, where this user may read them. All that is made for it is rolled
    back. Raises ShapeError with what is wrong with the query, LogError; the session is then to be closed.
    """
    await session.fetch(statement("shape_begin"))
    ((view, trial, may_read),) = await session.fetch(
        statement("shape_rows"),
        {"oid": oid, "columns": list(columns), "key": key, "query": query, "rows": SAMPLE_ROWS},
    )
    await _make(session, view)
    ((members, volatile, reads_table, unreadable, owner),) = await session.fetch(
        statement("shape_found"), {"oid": oid}
    )
    if _UNNAMED in members:
        raise ShapeError("as: a member of it has no name: write `… as NAME`.")
    if volatile:
        raise ShapeError(
            f"as: it calls {', '.join(volatile)}, which may give another value each time: only functions that"
            " are immutable or stable can be used."
        )
    if unreadable:
        raise ShapeError(
            f"as: {owner}, who owns the log and runs it, may not read {', '.join(unreadable)}: grant it"
            " select, and usage on the schema."
        )
    if may_read:
        await _try(session, trial, key)
    await session.fetch("rollback")
    return Shape(members, reads_table)


async def _make(session: Session, view: str) -> None:
    """Postgres' own words are about the text of the query here, and about no row."""
    try:
        await session.fetch(view)
    except LogError as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg2.Error) or cause.pgcode is None:
            raise
        raise ShapeError(f"as: {cause.diag.message_primary}.{_ADVICE.get(cause.pgcode, '')}") from error


async def _try(session: Session, trial: str, key: str) -> None:
    """Postgres' own words may quote a row here."""
    try:
        ((without_key,),) = await session.fetch(trial)
    except LogError as error:
        code = getattr(error.__cause__, "pgcode", None)
        if code is None:
            raise
        reason = _FAILURES.get(code, f"it fails on a row of the table ({code})")
        raise ShapeError(f"as: {reason}.") from error
    if without_key:
        raise ShapeError(f"as: no member of it has the value of the key {key}.")
