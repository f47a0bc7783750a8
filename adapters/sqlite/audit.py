"""The audit trail beside an SQLite log, in a file of its own: no append to the log waits for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.sqlite.beside import FileBeside
from adapters.sqlite.statements import statement
from gateway.ports.audit import KINDS, TRIM_BATCH, AuditEntry, AuditKind, AuditQuery, moment
from gateway.ports.clock import Clock


class SqliteAudit:
    """An AuditStore in the SQLite file at `path`, which is made where there is none.

    A commit does not wait for the disk: it outlives the process, and a power failure takes back the last.
    """

    def __init__(self, path: Path, clock: Clock, *, max_entries: int, max_age_seconds: float) -> None:
        self._file = FileBeside(path, "audit_schema", is_synced=False)
        self._clock = clock
        self._max_entries = max_entries
        self._max_age_ms = round(max_age_seconds * 1000)

    async def start(self) -> None:
        await self._file.start()

    async def close(self) -> None:
        await self._file.close()

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        rows = [(entry.id, entry.kind, entry.who, entry.body.decode()) for entry in entries]
        await self._file.together(lambda: self._file.db.executemany(statement("audit_append"), rows))

    async def read(self, query: AuditQuery) -> list[AuditEntry]:
        parameters: dict[str, Any] = {kind: kind if kind in query.kinds else None for kind in KINDS}
        parameters |= query._asdict() | {"kinds": None}
        rows = await self._file.run(
            lambda: self._file.db.execute(statement("audit_read"), parameters).fetchall()
        )
        return [AuditEntry(entry_id, kind, who, body.encode()) for entry_id, kind, who, body in rows]

    async def trim(self) -> None:
        for kind in KINDS:
            while await self._trim(kind) == TRIM_BATCH:
                pass

    async def _trim(self, kind: AuditKind) -> int:
        parameters = {
            "kind": kind,
            "oldest": moment(self._clock.wall_ms() - self._max_age_ms),
            "max_entries": self._max_entries,
            "batch": TRIM_BATCH,
        }
        return await self._file.together(
            lambda: self._file.db.execute(statement("audit_trim"), parameters).rowcount
        )
