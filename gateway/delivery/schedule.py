"""What the hub does next, in turns: short callbacks of the event loop, between which others are served.

Work is an iterator: each step is what it does in one turn. Work that raises is over, and reported.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gateway.delivery.budget import Budget
from gateway.delivery.counters import Work
from gateway.delivery.live import Flushes
from gateway.delivery.pace import Pace
from gateway.delivery.replay.from_history import CatchUp
from gateway.delivery.replay.recovery import Recovery
from gateway.delivery.revoked_streams import RevokedStreams
from gateway.ports.clock import Scheduler
from gateway.runtime.alarm import Alarm
from gateway.runtime.failures import Failures

OnFailure = Callable[[Exception], Iterator[None]]
"""Makes the work that is done in place of the rest of work that raised, so that no reader is left behind."""


class _Task(NamedTuple):
    name: Work
    steps: Iterator[None]
    on_failure: OnFailure | None = None


class Schedule:
    """Says what comes next: a flush, hints or a job, one of which ends before the next begins, and catch-up.

    A flush waits until `coalesce_seconds` have passed since the last one began, and for no less than that
    one took, so that others get half of the time, `longest_rest_seconds` of it at once; less than half a turn
    counts as none. With `is_hurried` it waits for none.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        failures: Failures[Work],
        flushes: Flushes,
        catch_up: CatchUp,
        recovery: Recovery,
        revoked_streams: RevokedStreams,
        budget: Budget,
        pace: Pace,
        coalesce_seconds: float,
    ) -> None:
        self._scheduler = scheduler
        self._failures = failures
        self._flushes = flushes
        self._catch_up = catch_up
        self._recovery = recovery
        self._revoked_streams = revoked_streams
        self._budget = budget
        self._pace = pace
        self._coalesce_seconds = coalesce_seconds
        self.is_hurried = False
        self._alarm = Alarm(scheduler, self._run)
        self._whole: _Task | None = None
        self._next_flush_at = 0.0
        self._whole_took = 0.0
        self._began = 0.0
        self._hints: deque[_Task] = deque()
        self._jobs: deque[_Task] = deque()

    def give_hints(self, work: Iterator[None]) -> None:
        """`work` is done whole, between two flushes."""
        self._hints.append(_Task("hints", work))
        self.plan()

    def add_job(self, name: Work, work: Iterator[None], on_failure: OnFailure | None = None) -> None:
        """`work` is done step by step, never within a flush; there may be flushes between its steps."""
        self._jobs.append(_Task(name, work, on_failure))
        self.plan()

    def hasten(self) -> None:
        """The next flush need not wait any more."""
        self._next_flush_at = self._scheduler.time()

    def stop(self) -> None:
        """No turn comes any more."""
        self._alarm.cancel()

    def plan(self) -> None:
        """Sees to it that a turn comes where there is something to do."""
        if self._whole is not None or self._hints or self._jobs or self._catch_up.is_waiting:
            self._alarm.set(0.0)
        elif self._flushes.is_due:
            self._alarm.set(0.0 if self.is_hurried else self._next_flush_at)

    def _run(self) -> None:
        self._budget.left = self._pace.writes_a_turn
        now = self._scheduler.time()
        if self._whole is not None:
            # The loop has written what the last turn queued, and done other things as well.
            self._whole_took += min(now - self._began, self._pace.turn_seconds)
        elif self._flushes.is_due and (now >= self._next_flush_at or self.is_hurried):
            self._whole = _Task("flush", self._flush(), lambda error: self._recovery.drop_flush())
            self._whole_took = 0.0
            self._next_flush_at = now + self._coalesce_seconds
        elif self._hints:
            self._whole, self._whole_took = self._hints.popleft(), 0.0
        self._began = now
        if self._whole is not None:
            self._whole = self._step(self._whole)
            if self._whole is None:
                rest = min(self._whole_took, self._pace.longest_rest_seconds)
                self._next_flush_at = max(self._next_flush_at, now + rest)
        elif self._jobs:
            job = self._step(self._jobs.popleft())
            if job is not None:
                self._jobs.appendleft(job)
        self._catch_up.run_some()
        self.plan()

    def _flush(self) -> Iterator[None]:
        entries = self._flushes.next_entries()
        yield from self._revoked_streams.end_before(entries)
        yield from self._flushes.run(entries)
        if self._whole_took or self._budget.left < self._pace.writes_a_turn // 2:
            # The next turn knows how long this one took, with what the loop had to write of it.
            yield

    def _step(self, work: _Task) -> _Task | None:
        """Does the next part of `work`; gives what is left of it, None where that was the last."""
        try:
            return None if next(work.steps, _OVER) is _OVER else work
        except Exception as error:  # noqa: BLE001 - whatever it was, the turns go on
            self._failures.report(work.name, error)
            return None if work.on_failure is None else _Task(work.name, work.on_failure(error))


_OVER = object()
