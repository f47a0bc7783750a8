"""Long-lived tasks that end with the service: one that fails is started again, counted and logged."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from gateway.core.backoff import Backoff
from gateway.core.errors import LogError
from gateway.runtime.logs import log_event, log_failure
from gateway.runtime.outage import REMINDER_SECONDS, Outage

_log = logging.getLogger(__name__)

LONGEST_DELAY_SECONDS = 10.0
LONGEST_OUT_OF_REACH_SECONDS = 2.0
"""The same where the log is out of reach: what waits for it holds up every stream of this node."""
HEALTHY_SECONDS = 60.0
"""A task that ran for that long has got over what made it fail before."""


def _backoff(longest_seconds: float) -> Backoff:
    return Backoff(0.1, longest_seconds)


class Supervisor:
    """Keeps tasks running.

    A task that finds the log out of reach (LogError) is no defect: it is tried again, and one line for all
    of them is the business of whoever watches the log, `outage`. Only where that tells of nothing, a line a
    minute (`task_held_up`) says that a task gets nowhere. Every other error is one that nobody foresaw.

    `failures` counts, by name, how often one failed as nobody foresaw, `retries` how often it found the log
    out of reach. `now` gives monotonic seconds. `backoff` makes one whose delays are at most as long as it is
    told. A task that is to end may take `again_seconds` before it is cancelled once more.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        outage: Outage | None = None,
        backoff: Callable[[float], Backoff] = _backoff,
        again_seconds: float = 1.0,
    ) -> None:
        self._now = now
        self._outage = outage
        self._backoff = backoff
        self._again_seconds = again_seconds
        self.failures: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._dropped: set[asyncio.Task[None]] = set()

    def run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Starts `work`, and again with backoff whenever it raises; it is over once it returns."""
        # Shown as 0 from here on: to Prometheus, a series that begins with 1 has not increased.
        self.failures[name] += 0
        self.retries[name] += 0
        self._tasks[name] = asyncio.create_task(self._keep(name, work), name=name)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        defects = self._backoff(LONGEST_DELAY_SECONDS)
        out_of_reach = self._backoff(LONGEST_OUT_OF_REACH_SECONDS)
        told_at = 0.0
        while True:
            began = self._now()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it was, the task has to go on
                now = self._now()
                if now - began >= HEALTHY_SECONDS:
                    defects.reset()
                    out_of_reach.reset()
                is_first = not defects.failures and not out_of_reach.failures
                if is_first or (self._outage is not None and self._outage.lasts):
                    told_at = now
                if not isinstance(error, LogError):
                    self.failures[name] += 1
                    delay = defects.next()
                    log_failure(_log, logging.ERROR, "task_failed", error, task=name, retry_seconds=delay)
                else:
                    self.retries[name] += 1
                    delay = out_of_reach.next()
                    if now - told_at >= REMINDER_SECONDS:
                        told_at = now
                        log_event(_log, logging.WARNING, "task_held_up", task=name, error=error)
                await asyncio.sleep(delay)
            else:
                return

    def drop(self, name: str) -> None:
        """Cancels one task, and forgets it with its counts. It may be the one that is running."""
        task = self._tasks.pop(name)
        del self.failures[name], self.retries[name]
        self._dropped.add(task)
        task.add_done_callback(self._dropped.discard)
        task.cancel()

    async def close(self) -> None:
        """Cancels every task and waits until all of them ended. Closing twice does nothing.

        One that goes on is cancelled again: a cancellation is lost where it comes in the very step in which
        what was waited for ends (Python 3.11's `wait_for`, and drivers that are built on it).
        """
        going_on = {*self._tasks.values(), *self._dropped}
        self._tasks.clear()
        while going_on:
            for task in going_on:
                task.cancel()
            _, going_on = await asyncio.wait(going_on, timeout=self._again_seconds)
