"""The audit trail in Redis: a sorted set for each kind, whose members sort by their ids.

All have the same score, so that Redis orders and finds them by their text (ZRANGEBYLEX). In a stream, where
ids may only grow, what a node could not send for a while would stand at the wrong time.
"""

from collections.abc import Sequence
from heapq import merge
from itertools import islice

from adapters.redis.connection import RedisConnection
from gateway.ports.audit import KINDS, TRIM_BATCH, AuditEntry, AuditKind, AuditQuery, moment
from gateway.ports.clock import Clock

_PAGE = 500
"""How many entries are read at a time."""


class RedisAudit:
    """An AuditStore on a connection of its own."""

    def __init__(
        self, connection: RedisConnection, clock: Clock, *, max_entries: int, max_age_seconds: float
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._max_entries = max_entries
        self._max_age_ms = round(max_age_seconds * 1000)

    async def start(self) -> None:
        await self._connection.start()

    async def close(self) -> None:
        await self._connection.close()

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        for kind in KINDS:
            members = [_member(entry) for entry in entries if entry.kind == kind]
            if members:
                scored = [part for member in members for part in (0, member)]
                await self._connection.execute("ZADD", self._key(kind), *scored)

    async def read(self, query: AuditQuery) -> list[AuditEntry]:
        newest = [await self._newest(kind, query) for kind in query.kinds]
        return list(islice(merge(*newest, key=lambda entry: entry.id, reverse=True), query.limit))

    async def trim(self) -> None:
        oldest = moment(self._clock.wall_ms() - self._max_age_ms)
        for kind in KINDS:
            gone = TRIM_BATCH
            while gone == TRIM_BATCH:
                gone = await self._connection.script(
                    "audit_trim", [self._key(kind)], [self._max_entries, oldest, TRIM_BATCH]
                )

    async def _newest(self, kind: AuditKind, query: AuditQuery) -> list[AuditEntry]:
        found: list[AuditEntry] = []
        before = query.before
        while len(found) < query.limit:
            members = await self._connection.execute(
                *("ZREVRANGEBYLEX", self._key(kind), f"({before}", f"[{query.since}"),
                *("LIMIT", 0, _PAGE if query.who is not None else min(_PAGE, query.limit - len(found))),
            )
            if not members:
                break
            page = [_entry(kind, member) for member in members]
            found += [entry for entry in page if query.who is None or entry.who == query.who]
            before = page[-1].id
        return found[: query.limit]

    def _key(self, kind: AuditKind) -> str:
        return self._connection.key("audit", kind)


def _member(entry: AuditEntry) -> bytes:
    return b"\0".join((entry.id.encode(), entry.who.encode(), entry.body))


def _entry(kind: AuditKind, member: bytes) -> AuditEntry:
    entry_id, who, body = member.split(b"\0", 2)
    return AuditEntry(entry_id.decode(), kind, who.decode(), body)
