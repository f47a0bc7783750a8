"""How table capture and the log in Postgres are doing. Changes nothing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.postgres.capture import Column, table_columns
from adapters.postgres.connection import Session
from adapters.postgres.migrations import installed_version
from adapters.postgres.statements import statement
from gateway.core.changes import member_suffix

_TRIGGERS = frozenset({"tidegate_insert", "tidegate_update", "tidegate_delete", "tidegate_truncate"})


@dataclass(frozen=True, slots=True)
class CapturedTable:
    """A table that has triggers of ours, and what is wrong with its capture, a sentence each.

    `part_of` is the table of which it is a partition; `query` what its rows are given as, None where as they
    are; `reads_table`: it reads the table itself, so that events have no `previous`.
    """

    table: str
    part_of: str | None
    entity: str
    key: str
    columns: tuple[str, ...]
    changes: Mapping[str, str]
    query: str | None
    reads_table: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blocking:
    """An open transaction that has written. `pid` or, where it is prepared, `gid` names it.

    `seconds` is since it began; None where this user may not know.
    """

    pid: int | None
    gid: str | None
    database: str | None
    user: str | None
    application: str | None
    state: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class LogState:
    """What the log holds. `events` is an estimate, None before the first ANALYZE; 0 is exact.

    `oldest` and `newest` are when the first and the last event that it holds came; `pruned_to` the position
    up to which retention has deleted. `waiting` events are committed and not yet delivered, since an older
    transaction is open; the first of them for `waiting_seconds`. `gaps` counts the events that tell of
    changes which capture could not turn into events.
    """

    bytes: int
    events: int | None
    oldest: datetime | None
    newest: datetime | None
    pruned_to: str
    waiting: int
    waiting_seconds: float | None
    gaps: int


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, as of one moment each."""

    schema_version: int
    tables: tuple[CapturedTable, ...]
    log: LogState
    blocking: Blocking | None


async def status(session: Session) -> Status:
    """Asks the server. Raises LogError, also where the log's schema is missing."""
    version = await installed_version(session)
    ((size, events, oldest, newest, xid, number, waiting, seconds, gaps),) = await session.fetch(
        statement("status_log")
    )
    # Without a first event there is none, whatever the planner does not know yet.
    events = 0 if oldest is None else events
    log = LogState(size, events, oldest, newest, f"{xid}-{number}", waiting, seconds, gaps)
    blocking = [Blocking(*row) for row in await session.fetch(statement("status_blocking"))]
    return Status(version, tuple(await _tables(session)), log, blocking[0] if blocking else None)


async def _tables(session: Session) -> list[CapturedTable]:
    bare: dict[str, list[str]] = {}
    for root, partition in await session.fetch(statement("status_uncaptured")):
        bare.setdefault(root, []).append(partition)
    found = []
    for (
        oid,
        title,
        root,
        is_partitioned,
        triggers,
        enabled,
        alike,
        argument,
        owner,
        may_read,
    ) in await session.fetch(statement("status_captures")):
        options = json.loads(argument)
        expected = _TRIGGERS - {"tidegate_truncate"} if is_partitioned else _TRIGGERS
        problems = [f"its trigger {name} is gone" for name in sorted(expected - set(triggers))]
        if not enabled:
            problems.append("a trigger of it is disabled")
        if not alike:
            problems.append("its triggers differ")
        if not may_read and title == root:
            problems.append(f"{owner} may not read it: nobody gets its state, and a TRUNCATE is a gap")
        problems += _column_problems(await table_columns(session, oid), options)
        problems += [f"its partition {name} is not captured" for name in bare.get(title, ())]
        found.append(_captured(title, root, options, problems))
    return found


def _captured(title: str, root: str, options: Mapping[str, Any], problems: Iterable[str]) -> CapturedTable:
    return CapturedTable(
        table=title,
        part_of=None if root == title else root,
        entity=options["entity"],
        key=options["key"],
        columns=tuple(options["columns"]),
        changes={rule["member"]: rule["eventType"] for rule in options["changes"]},
        query=options.get("as"),
        reads_table=options.get("readsTable", False),
        problems=tuple(problems),
    )


def _column_problems(columns: Mapping[str, Column], options: Mapping[str, Any]) -> list[str]:
    """What has changed about the table since it was captured, as far as its events are concerned."""
    key = columns.get(options["key"])
    problems = []
    if key is None:
        problems.append(f"its key {options['key']} is gone, so its changes make no events")
    elif not (key.is_not_null and key.is_unique):
        problems.append(f"its key {key.name} is no longer unique and not null")
    for rule in options["changes"]:
        if rule["suffix"] != member_suffix(rule["member"], options["entity"]):
            problems.append(
                f"its events say previous{rule['suffix']}, as those of an older release: capture it again"
            )
    for name in options["columns"]:
        if name not in columns and name != options["key"]:
            problems.append(f"its column {name} is gone from the events")
    for name in columns:
        if name not in options["columns"] and name not in options["leftOut"]:
            problems.append(f"its new column {name} is not in the events")
    return problems
