"""Bookkeeping in the database, for dashboards that look there: what was processed when, and how sync is.

Written by one gateway at a time where it is switched on. It costs one more write for each event, so it is off
by default; /metrics and /readyz say the same without it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from adapters.postgres.pool import Pool
from adapters.postgres.rows import key
from adapters.postgres.statements import statement
from adapters.postgres.troubles import Troubles
from gateway.core.errors import LogError
from gateway.core.events import Position

BATCH = 1000
"""Delivery waits while a batch is being marked: its transaction has to be a matter of milliseconds."""
KEEP_SECONDS = 7 * 24 * 3600.0
WARNING_MS = 1000.0
CRITICAL_MS = 10_000.0


class Bookkeeper:
    """Sets `processed_at` of `sync_events`, and adds rows of the type `sync_health` to `system_metrics`.

    `processed` gives the position up to which this node has given events to its streams. `processed_at` is
    when that was noted, so up to `interval_seconds` late. The rows, at each interval: `events_per_second`
    since the last one; `waiting_events`, committed and not processed; `sync_latency`, the age in milliseconds
    of the oldest of those, a `warning` from `warning_ms`, `critical` from `critical_ms`; `capture_gaps`, the
    events since the last time that tell of changes which capture could not tell, a `warning` where there are
    any. Rows older than `keep_seconds` are deleted.

    Any number of nodes may do this; one at a time does. `failures` counts the runs that failed.
    """

    def __init__(
        self,
        pool: Pool,
        processed: Callable[[], Position],
        *,
        interval_seconds: float,
        keep_seconds: float = KEEP_SECONDS,
        warning_ms: float = WARNING_MS,
        critical_ms: float = CRITICAL_MS,
        batch: int = BATCH,
        troubles: Troubles | None = None,
    ) -> None:
        self._pool = pool
        self._processed = processed
        self._interval_seconds = interval_seconds
        self._figures = {"keep_seconds": keep_seconds, "warning_ms": warning_ms, "critical_ms": critical_ms}
        self._batch = batch
        self._troubles = troubles or Troubles()
        self.failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Keeps the books every `interval_seconds` until it is cancelled, first after the first of them."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self.record()
            except LogError as error:
                self.failures["log_bookkeeping_failed"] += 1
                self._troubles.failed("log_bookkeeping", error)
            else:
                self._troubles.over("log_bookkeeping")

    async def record(self) -> int:
        """Marks what this node has processed, and adds the rows; gives how many events it marked.

        Nothing is done while another node is at it. The first time in a history only says where marking
        begins. Raises LogError; every batch is whole then.
        """
        parameters = key(self._processed())
        await self._pool.fetch(statement("bookkeeping_begin"), parameters)
        marked = 0
        while True:
            ((count,),) = await self._pool.fetch(
                statement("bookkeeping_mark"), {**parameters, "batch": self._batch}
            )
            marked += count or 0
            if count is None or count < self._batch:
                break
        if count is not None:
            await self._pool.fetch(statement("bookkeeping_record"), {**self._figures, "processed": marked})
        return marked
