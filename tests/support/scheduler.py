"""An event loop whose steps a test runs one at a time."""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from tests.support.clock import ManualClock

MAX_STEPS = 10_000
"""More callbacks in a row than any test needs: a loop that feeds itself fails instead of hanging."""


class ManualHandle:
    """A callback that was scheduled."""

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._callback = callback
        self._args = args
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def run(self) -> None:
        self._callback(*self._args)


class ManualScheduler:
    """A gateway.ports.clock.Scheduler: callbacks run in asyncio's order, when the test says so."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self._ready: deque[ManualHandle] = deque()
        self._timers: list[tuple[float, int, ManualHandle]] = []
        self._serial = 0

    def time(self) -> float:
        return self.clock.monotonic()

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> ManualHandle:
        handle = ManualHandle(callback, args)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> ManualHandle:
        handle = ManualHandle(callback, args)
        self._serial += 1
        heappush(self._timers, (when, self._serial, handle))
        return handle

    def step(self) -> bool:
        """Runs the next callback whose time has come; says whether there was one."""
        while self._timers and self._timers[0][0] <= self.time():
            self._ready.append(heappop(self._timers)[2])
        while self._ready:
            handle = self._ready.popleft()
            if not handle.is_cancelled:
                handle.run()
                return True
        return False

    def run_ready(self) -> int:
        """Runs callbacks until none is ready; gives how many."""
        for count in range(MAX_STEPS):
            if not self.step():
                return count
        raise AssertionError(f"still busy after {MAX_STEPS} callbacks")

    def run_for(self, seconds: float) -> None:
        """Lets time pass, and runs each callback when its time comes."""
        end = self.time() + seconds
        for _ in range(MAX_STEPS):
            self.run_ready()
            due = self.next_timer()
            if due is None or due > end:
                self.clock.advance_to(end)
                self.run_ready()
                return
            self.clock.advance_to(due)
        raise AssertionError(f"still busy after {MAX_STEPS} timers")

    def next_timer(self) -> float | None:
        """When the earliest timer rings, or None where there is none."""
        while self._timers and self._timers[0][2].is_cancelled:
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None
