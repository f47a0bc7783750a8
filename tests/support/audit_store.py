"""A store of the audit trail that a test takes away and gives back."""

import asyncio
from collections.abc import Sequence

from adapters.memory_audit import MemoryAudit
from gateway.core.errors import LogError
from gateway.ports.audit import AuditEntry
from tests.support.clock import ManualClock


class ShakyAudit(MemoryAudit):
    """Raises LogError while it `is_away`, and waits for ever while it `hangs`; `trims` counts its trims."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, max_entries=1000, max_age_seconds=1e9)
        self.is_away = False
        self.hangs = False
        self.is_closed = False
        self.trims = 0
        self.batches: list[int] = []

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise LogError("It is away.")
        self.batches.append(len(entries))
        await super().append(entries)

    async def trim(self) -> None:
        self.trims += 1
        await super().trim()

    async def close(self) -> None:
        self.is_closed = True
