"""Drops what the log need not hold any longer."""

import asyncio
from collections import Counter

from adapters.postgres.pool import Pool
from adapters.postgres.rows import key, position_of
from adapters.postgres.statements import statement
from adapters.postgres.troubles import Troubles
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Position
from gateway.ports.log import ONCE_SECONDS

BATCH = 1000
"""Delivery waits while a batch is being deleted: its transaction has to be a matter of milliseconds."""

_COUNTS_PER_FILL = 20
"""How often the events are counted while the log fills once."""


class Retention:
    """Keeps the newest `max_events`, or a few hundredths more, but none longer than `max_age_seconds`.

    Any number of nodes may do this; one at a time does. `pruned` counts the events that this one deleted,
    `failures` its runs that failed.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        max_events: int,
        max_age_seconds: float,
        interval_seconds: float,
        troubles: Troubles | None = None,
    ) -> None:
        self._pool = pool
        self._max_events = max_events
        self._max_age_seconds = max_age_seconds
        self._interval_seconds = interval_seconds
        self._troubles = troubles or Troubles()
        self._counted_id = -1
        self.pruned = 0
        self.failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Prunes every `interval_seconds` until it is cancelled."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self.prune()
            except LogError as error:
                self.failures["log_retention_failed"] += 1
                self._troubles.failed("log_retention", error)
            else:
                self._troubles.over("log_retention")

    async def prune(self) -> int:
        """Deletes what is over the bounds, and gives how many events that were; 0 while another node does.

        Idempotency keys whose time is over go too. The floor has moved over the events once this returns.
        Raises LogError; every batch is whole then.
        """
        await self._pool.fetch(statement("once_sweep"), {"seconds": ONCE_SECONDS})
        counted_id, boundary = await self._boundary()
        parameters = {**key(boundary), "max_age_seconds": self._max_age_seconds, "batch": BATCH}
        total = 0
        while True:
            count: int
            ((is_ours, count),) = await self._pool.fetch(statement("retention_delete"), parameters)
            total += count
            self.pruned += count
            if not is_ours:
                return total
            if count < BATCH:
                self._counted_id = counted_id
                return total

    async def _boundary(self) -> tuple[int, Position]:
        """The newest event that is one too many, or ORIGIN, and the newest id when that was found out.

        Counting has to look at all that is kept, so it is done once for every few hundredths of that.
        """
        rows = await self._pool.fetch(statement("retention_span"))
        if not rows:
            return self._counted_id, ORIGIN
        ((pruned_id, newest_id),) = rows
        is_short = newest_id - pruned_id <= self._max_events
        if is_short or newest_id - self._counted_id <= self._max_events // _COUNTS_PER_FILL:
            return self._counted_id, ORIGIN
        await self._pool.fetch(statement("once_sweep"), {"seconds": ONCE_SECONDS})
        rows = await self._pool.fetch(statement("retention_boundary"), {"max_events": self._max_events})
        return newest_id, position_of(*rows[0]) if rows else ORIGIN
