"""Table capture: triggers that turn whatever changes a table into events, in the transaction that changes it.

What the triggers do is in migrations/002_capture.sql, 006_names.sql after it, and with a query of the row in
011_shapes.sql. Here is who gets which, and what is refused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from psycopg2 import errorcodes

from adapters.postgres.connection import Session
from adapters.postgres.shape import shape_of
from adapters.postgres.statements import statement
from gateway.core.changes import member_suffix
from gateway.core.errors import ConfigError, LogError
from gateway.core.events import NAME_PATTERN, RESERVED_EVENT_TYPES, has_control_characters

MAX_EVENT_BYTES = 65_536
LEAST_EVENT_BYTES = 2048
"""Less could not hold the longest key and the names around it."""

Notify = Literal["auto", "always", "never"]

_NAME = re.compile(NAME_PATTERN)
_LONGEST_ENTITY = 64 - len("_created")
_ORDINARY, _PARTITIONED = "r", "p"
_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
}


class CaptureError(ConfigError):
    """A table can't be captured as asked; nothing was changed."""


@dataclass(frozen=True)
class Capture:
    """What is asked for: of which columns of a table which events are made.

    `columns` are the only ones to take, `without` those to leave out; at most one of the two is given. The
    key is taken always. `changes` gives the event type for a changed column. Events of more than
    `max_event_bytes` of JSON go out with less in them. `notify` says whether a statement wakes the log's
    readers at once, or leaves them to their timer; `auto` wakes them where the server allows no two-phase
    commits, which a notification would make impossible. `query` is what rows are given as, with `row` for
    the captured columns of one (adapters/postgres/shape.py); None: as they are. `changes` are of its members
    then. Raises CaptureError for what no table could be captured as.
    """

    entity: str
    key: str
    columns: Sequence[str] = ()
    without: Sequence[str] = ()
    changes: Mapping[str, str] = field(default_factory=dict)
    max_event_bytes: int = MAX_EVENT_BYTES
    notify: Notify = "auto"
    query: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.match(self.entity) or len(self.entity) > _LONGEST_ENTITY:
            raise CaptureError(f"entity: must be 1 to {_LONGEST_ENTITY} of A-Z a-z 0-9 _ . -")
        if self.columns and self.without:
            raise CaptureError("columns and without: give those to take or those to leave out, not both.")
        if self.key in self.without:
            raise CaptureError(f"without: {self.key} is the key, and every event has it.")
        if self.key in self.changes:
            raise CaptureError(f"event-types: {self.key} is the key, and a changed key is another entity.")
        for column, event_type in self.changes.items():
            if not _NAME.match(event_type) or event_type in RESERVED_EVENT_TYPES:
                raise CaptureError(f"event-types: {event_type!r} can't be an event type.")
            if column in self.without and self.query is None:
                raise CaptureError(f"event-types: {column} is left out, so no event can tell of it.")
        if self.query is not None and not self.query.strip():
            raise CaptureError("as: is empty.")
        if self.max_event_bytes < LEAST_EVENT_BYTES:
            raise CaptureError(f"max-event-bytes: must be at least {LEAST_EVENT_BYTES}.")


class Column(NamedTuple):
    """A column of a table. `is_scalar`: its JSON is no array or object. `is_unique`: on its own."""

    name: str
    is_not_null: bool
    type: str
    is_scalar: bool
    is_unique: bool


class Table(NamedTuple):
    """A table that can be captured. `title` is its name for people, with its schema."""

    oid: int
    title: str
    columns: Mapping[str, Column]


async def find_table(session: Session, name: str) -> Table:
    """The table that `name` stands for, as SQL would read it: quoted where it has to be, with or without a
    schema. Raises CaptureError where there is none or it can't be captured, LogError.
    """
    try:
        rows = await session.fetch(statement("capture_table"), {"table": name})
    except LogError as error:
        if _code(error) in (
            errorcodes.INVALID_NAME,
            errorcodes.SYNTAX_ERROR,
            errorcodes.FEATURE_NOT_SUPPORTED,
        ):
            raise CaptureError(f"{name!r} is no table's name.") from error
        raise
    if not rows:
        raise CaptureError(
            f"there is no table {name} in this database, or not in the connection's search_path."
        )
    ((oid, schema, table, kind, is_partition, is_temporary, is_system, is_ours),) = rows
    title = f"{schema}.{table}"
    if kind not in (_ORDINARY, _PARTITIONED):
        raise CaptureError(f"{title} is {_KINDS.get(kind, 'no table')}: only tables can be captured.")
    if is_partition:
        raise CaptureError(f"{title} is a partition: capture the table that it is a part of.")
    if is_ours:
        raise CaptureError(f"{title} is Tidegate's own: its changes would be events about events.")
    if is_temporary or is_system:
        raise CaptureError(f"{title} is a {'temporary' if is_temporary else 'system'} table.")
    if has_control_characters(title):
        raise CaptureError(f"{title!r} has control characters in its name, which no event's source may have.")
    return Table(oid, title, await table_columns(session, oid))


async def table_columns(session: Session, oid: int) -> dict[str, Column]:
    """The columns of a table by name, in its order. Raises LogError."""
    columns = [Column(*row) for row in await session.fetch(statement("capture_columns"), {"oid": oid})]
    return {column.name: column for column in columns}


async def capture(session: Session, name: str, wanted: Capture) -> list[str]:
    """The statements that capture the table, in place of how it was captured before. Changes nothing.

    Raises CaptureError, ShapeError, LogError; the session is then to be closed.
    """
    table = await find_table(session, name)
    options = _options(table, wanted)
    function = "tidegate_capture"
    if wanted.query is not None:
        function = "tidegate_capture_as"
        options |= await _shaped(session, table, wanted, options["columns"])
    # No escapes for what is not ASCII: the text is there for people too, in `\d` and in a dump.
    parameters = {"oid": table.oid, "options": json.dumps(options, ensure_ascii=False), "function": function}
    created = await session.fetch(statement("capture_create"), parameters)
    return [*await _drops(session, table), *(sql for (sql,) in created)]


async def uncapture(session: Session, name: str) -> list[str]:
    """The statements that end the capture of the table. Changes nothing. Raises CaptureError, LogError."""
    table = await find_table(session, name)
    drops = await _drops(session, table)
    if not drops:
        raise CaptureError(f"{table.title} is not captured.")
    return drops


async def apply(session: Session, statements: Sequence[str], *, lock_seconds: float) -> None:
    """Runs the statements in one transaction: all of them, or none.

    They wait for transactions that write to the table, and who wants to write meanwhile waits for them: so
    at most `lock_seconds`. Raises CaptureError where the user may not, LogError.
    """
    lock_timeout = f"set local lock_timeout = '{round(lock_seconds * 1000)}ms'"
    try:
        # One query string is one transaction, which holds the table for no round trip.
        await session.fetch(";\n".join([lock_timeout, *statements]))
    except LogError as error:
        if _code(error) == errorcodes.LOCK_NOT_AVAILABLE:
            raise LogError(
                f"Other transactions held the table for over {lock_seconds:g} s, and nothing was changed: try"
                " again later."
            ) from error
        if _code(error) == errorcodes.INSUFFICIENT_PRIVILEGE:
            raise CaptureError(f"This user may not do that: {error.detail}") from error
        raise


async def _drops(session: Session, table: Table) -> list[str]:
    return [sql for (sql,) in await session.fetch(statement("capture_drop"), {"oid": table.oid})]


def _options(table: Table, wanted: Capture) -> dict[str, Any]:
    """The argument of the triggers. `leftOut` is only there to tell new columns from unwanted ones."""
    _require_key(table, wanted.key)
    changes = wanted.changes if wanted.query is None else {}
    for option, names in (("columns", wanted.columns), ("without", wanted.without), ("event-types", changes)):
        for name in names:
            if name not in table.columns:
                known = ", ".join(table.columns)
                raise CaptureError(f"{option}: {table.title} has no column {name}; it has {known}.")
    taken = [
        name
        for name in table.columns
        if name == wanted.key or (name in wanted.columns if wanted.columns else name not in wanted.without)
    ]
    for name in changes:
        if name not in taken:
            raise CaptureError(f"event-types: {name} is left out, so no event can tell of it.")
    return {
        "entity": wanted.entity,
        "key": wanted.key,
        "columns": taken,
        "leftOut": [name for name in table.columns if name not in taken],
        "changes": [
            {"member": name, "eventType": event_type, "suffix": member_suffix(name, wanted.entity)}
            for name, event_type in wanted.changes.items()
        ],
        "source": f"capture:{table.title}",
        "maxEventBytes": wanted.max_event_bytes,
        "notify": wanted.notify,
    }


async def _shaped(
    session: Session, table: Table, wanted: Capture, columns: Sequence[str]
) -> Mapping[str, Any]:
    """What the argument of the triggers says beside, of a capture with a query."""
    assert wanted.query is not None
    shape = await shape_of(session, table.oid, columns, wanted.key, wanted.query)
    for name in wanted.changes:
        if shape.reads_table:
            raise CaptureError(
                f"event-types: the query of --as reads {table.title} itself, where a changed row is no longer"
                " what it was: no event can tell what changed."
            )
        if name not in shape.members:
            raise CaptureError(f"event-types: --as gives no {name}; it gives {', '.join(shape.members)}.")
    return {"as": wanted.query, "readsTable": shape.reads_table}


def _require_key(table: Table, key: str) -> None:
    column = table.columns.get(key)
    if column is None:
        raise CaptureError(f"key: {table.title} has no column {key}; it has {', '.join(table.columns)}.")
    if not column.is_scalar:
        raise CaptureError(f"key: {key} is a {column.type}, which can't be an entity's id.")
    if not column.is_not_null:
        raise CaptureError(f"key: {key} may be null in {table.title}: it has to be not null.")
    if not column.is_unique:
        raise CaptureError(
            f"key: nothing keeps two rows of {table.title} from having the same {key}: it needs a primary key"
            " or a unique index of its own."
        )


def _code(error: LogError) -> str | None:
    return getattr(error.__cause__, "pgcode", None)
