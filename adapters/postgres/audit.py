"""The audit trail in a Postgres table: written beside the events, in transactions that end at once."""

from collections.abc import Sequence
from typing import Any

from adapters.postgres.address import Address
from adapters.postgres.connection import Session, connect
from adapters.postgres.identity import Servers
from adapters.postgres.migrations import require_schema
from adapters.postgres.pool import Pool
from adapters.postgres.statements import statement
from gateway.core.errors import LogError
from gateway.ports.audit import KINDS, TRIM_BATCH, AuditEntry, AuditKind, AuditQuery, moment
from gateway.ports.clock import Clock


class PostgresAudit:
    """An AuditStore in the table `tidegate_audit` of the database at `url`, over one connection."""

    def __init__(self, url: str, clock: Clock, *, max_entries: int, max_age_seconds: float) -> None:
        Address.parse(url)
        servers = Servers()
        self._pool = Pool(lambda: connect(url, admit=servers.admit), 1)
        self._clock = clock
        self._max_entries = max_entries
        self._max_age_ms = round(max_age_seconds * 1000)

    async def start(self) -> None:
        async with self._pool.session() as session:
            await require_schema(session)

    async def close(self) -> None:
        await self._pool.close()

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        await self._fetch(
            "audit_append",
            {
                "id": [entry.id for entry in entries],
                "kind": [entry.kind for entry in entries],
                "who": [entry.who for entry in entries],
                "entry": [entry.body.decode() for entry in entries],
            },
        )

    async def read(self, query: AuditQuery) -> list[AuditEntry]:
        rows = await self._fetch("audit_read", query._asdict() | {"kinds": list(query.kinds)})
        return [AuditEntry(entry_id, kind, who, entry.encode()) for entry_id, kind, who, entry in rows]

    async def trim(self) -> None:
        for kind in KINDS:
            while await self._trim(kind) == TRIM_BATCH:
                pass

    async def _trim(self, kind: AuditKind) -> int:
        ((gone,),) = await self._fetch(
            "audit_trim",
            {
                "kind": kind,
                "oldest": moment(self._clock.wall_ms() - self._max_age_ms),
                "max_entries": self._max_entries,
                "batch": TRIM_BATCH,
            },
        )
        return int(gone)

    async def _fetch(self, name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a statement, sent again where a session was lost: each may be carried out twice."""
        for is_last in (False, True):
            session: Session | None = None
            try:
                async with self._pool.session() as session:
                    return await session.fetch(statement(name), parameters)
            except LogError:
                if is_last or session is None or session.is_usable:
                    raise
        raise AssertionError("the last attempt returns or raises")
