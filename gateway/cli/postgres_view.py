"""What `tidegate postgres status` says: for people, and as JSON."""

from datetime import UTC, datetime
from typing import Any

from adapters.postgres.status import Blocking, CapturedTable, LogState, Status
from gateway.cli.terminal import printable, table

_OWN = " (which that reads itself: events have no previous)"


def status_lines(status: Status) -> list[str]:
    """A few lines about the log, then a table of what is captured, then what is wrong with it."""
    log = status.log
    rows: list[tuple[str, ...]] = [
        ("schema", f"version {status.schema_version}"),
        ("size", f"{log.bytes / 2**20:.1f} MiB, {_count(log.events)} events"),
        ("holds", "nothing" if log.oldest is None else f"{_time(log.oldest)} to {_time(log.newest)}"),
        ("pruned", f"up to {log.pruned_to}"),
        ("waiting", _waiting(log)),
        ("blocking", "no transaction" if status.blocking is None else _blocking(status.blocking)),
        ("capture gaps", f"{log.gaps} events in the log"),
    ]
    lines = table(rows)
    if not status.tables:
        return [*lines, "no captured tables"]
    head = ("TABLE", "ENTITY", "KEY", "COLUMNS", "EVENT TYPES")
    lines += ["", "captured tables", *table([head, *map(_row, status.tables)], "  ")]
    shapes = [
        f"  {printable(captured.table)}{_OWN if captured.reads_table else ''}: {printable(captured.query)}"
        for captured in status.tables
        if captured.query is not None and captured.part_of is None
    ]
    if shapes:
        lines += ["", "given as", *shapes]
    problems = [
        f"  {printable(captured.table)}: {printable(problem)}"
        for captured in status.tables
        for problem in captured.problems
    ]
    return [*lines, "", "problems", *problems] if problems else lines


def status_json(status: Status) -> dict[str, Any]:
    """All of it. Members that do not apply are null; times are RFC 3339 in UTC."""
    log, blocking = status.log, status.blocking
    return {
        "schemaVersion": status.schema_version,
        "log": {
            "bytes": log.bytes,
            "estimatedEvents": log.events,
            "oldest": _time(log.oldest),
            "newest": _time(log.newest),
            "prunedTo": log.pruned_to,
            "waitingEvents": log.waiting,
            "waitingSeconds": log.waiting_seconds,
            "captureGaps": log.gaps,
        },
        "blocking": None
        if blocking is None
        else {
            "pid": blocking.pid,
            "gid": blocking.gid,
            "database": blocking.database,
            "user": blocking.user,
            "application": blocking.application,
            "state": blocking.state,
            "seconds": blocking.seconds,
        },
        "tables": [
            {
                "table": captured.table,
                "partOf": captured.part_of,
                "entity": captured.entity,
                "key": captured.key,
                "columns": list(captured.columns),
                "eventTypes": dict(captured.changes),
                "as": captured.query,
                "readsTable": captured.reads_table,
                "problems": list(captured.problems),
            }
            for captured in status.tables
        ],
    }


def _row(captured: CapturedTable) -> tuple[str, ...]:
    rules = ", ".join(f"{name}={kind}" for name, kind in captured.changes.items())
    title = captured.table if captured.part_of is None else f"{captured.table} (part of {captured.part_of})"
    return tuple(
        map(printable, (title, captured.entity, captured.key, ", ".join(captured.columns), rules or "-"))
    )


def _waiting(log: LogState) -> str:
    if not log.waiting:
        return "no events"
    return f"{log.waiting} events, the first for {log.waiting_seconds:.1f} s"


def _blocking(blocking: Blocking) -> str:
    name = f"pid {blocking.pid}" if blocking.gid is None else f"prepared {blocking.gid!r}"
    seconds = "for an unknown time" if blocking.seconds is None else f"for {blocking.seconds:.1f} s"
    known = (blocking.state, blocking.database, blocking.user, blocking.application)
    return printable(f"{name}, open {seconds}: {', '.join(text for text in known if text)}")


def _count(events: int | None) -> str:
    return "0" if events == 0 else "an unknown number of" if events is None else f"about {events}"


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
