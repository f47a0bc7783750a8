"""The audit trail beside the embedded log: in memory, gone with the process."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import merge
from itertools import islice

from gateway.ports.audit import KINDS, AuditEntry, AuditKind, AuditQuery, moment
from gateway.ports.clock import Clock

MAX_ENTRIES = 10_000
"""How many of a kind are kept at most, whatever the settings allow: they take this process' memory."""


class MemoryAudit:
    """An AuditStore in this process."""

    def __init__(self, clock: Clock, *, max_entries: int, max_age_seconds: float) -> None:
        self._clock = clock
        self._max_entries = min(max_entries, MAX_ENTRIES)
        self._max_age_ms = round(max_age_seconds * 1000)
        self._held: dict[AuditKind, list[AuditEntry]] = {kind: [] for kind in KINDS}

    async def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to end."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        for entry in entries:
            held = self._held[entry.kind]
            if not held or held[-1].id < entry.id:
                held.append(entry)
                continue
            at = bisect_left(held, entry.id, key=_id)
            if at == len(held) or held[at].id != entry.id:
                insort(held, entry, key=_id)

    async def read(self, query: AuditQuery) -> list[AuditEntry]:
        newest = [self._newest(kind, query) for kind in query.kinds]
        return list(islice(merge(*newest, key=_id, reverse=True), query.limit))

    async def trim(self) -> None:
        oldest = moment(self._clock.wall_ms() - self._max_age_ms)
        for held in self._held.values():
            del held[: max(len(held) - self._max_entries, bisect_left(held, oldest, key=_id))]

    def _newest(self, kind: AuditKind, query: AuditQuery) -> list[AuditEntry]:
        held = self._held[kind]
        first, end = (bisect_left(held, bound, key=_id) for bound in (query.since, query.before))
        found = (
            held[at] for at in range(end - 1, first - 1, -1) if query.who is None or held[at].who == query.who
        )
        return list(islice(found, query.limit))


def _id(entry: AuditEntry) -> str:
    return entry.id
