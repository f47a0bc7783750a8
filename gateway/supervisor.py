"""Long-lived tasks that end with the service: one that fails is started again, counted and logged."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from gateway.backoff import Backoff
from gateway.logs import log_event

_log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
HEALTHY_SECONDS = 60.0
"""A task that ran for that long has got over what made it fail before."""


class Supervisor:
    """Keeps tasks running. `failures` counts, by name, how often one had to be started again.

    `now` gives monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.failures: Counter[str] = Counter()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Starts `work`, and again with backoff whenever it raises; it is over once it returns."""
        self._tasks[name] = asyncio.create_task(self._keep(name, work), name=name)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        while True:
            began = self._now()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it was, the task has to go on
                self.failures[name] += 1
                if self._now() - began >= HEALTHY_SECONDS:
                    backoff.reset()
                delay = backoff.next()
                log_event(_log, logging.ERROR, "task_failed", task=name, error=error, retry_seconds=delay)
                _log.debug("task %s failed", name, exc_info=True)
                await asyncio.sleep(delay)
            else:
                return

    async def close(self) -> None:
        """Cancels every task and waits until all of them ended. Closing twice does nothing."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
