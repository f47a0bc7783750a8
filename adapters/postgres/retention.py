"""Lets go of what the log need not hold any longer."""

import asyncio
import logging
from collections import Counter

from adapters.postgres.pool import Pool
from adapters.postgres.rows import key, position_of
from adapters.postgres.statements import statement
from gateway.errors import LogError
from gateway.events import ORIGIN
from gateway.logs import log_event

_log = logging.getLogger(__name__)

BATCH = 1000
"""Delivery waits while a batch is being deleted: its transaction has to be a matter of milliseconds."""


class Retention:
    """Keeps the newest `max_events`, and of them those that came less than `max_age_seconds` ago.

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
        batch: int = BATCH,
    ) -> None:
        self._pool = pool
        self._max_events = max_events
        self._max_age_seconds = max_age_seconds
        self._interval_seconds = interval_seconds
        self._batch = batch
        self.pruned = 0
        self.failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Prunes every `interval_seconds` until it is cancelled."""
        while True:
            try:
                await self.prune()
            except LogError as error:
                self.failures["log_retention_failed"] += 1
                log_event(_log, logging.WARNING, "log_retention_failed", error=error.detail)
            await asyncio.sleep(self._interval_seconds)

    async def prune(self) -> int:
        """Deletes what is over the bounds, and gives how many events that were; 0 while another node does.

        The floor has moved over them once this returns. Raises LogError; every batch is whole then.
        """
        rows = await self._pool.fetch(statement("retention_boundary"), {"max_events": self._max_events})
        boundary = position_of(*rows[0]) if rows else ORIGIN
        parameters = {**key(boundary), "max_age_seconds": self._max_age_seconds, "batch": self._batch}
        total = 0
        while True:
            count: int
            ((count,),) = await self._pool.fetch(statement("retention_delete"), parameters)
            total += count
            self.pruned += count
            if count < self._batch:
                return total
