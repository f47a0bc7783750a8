"""One callback of the event loop that runs at the earliest time anybody asked for."""

from collections.abc import Callable

from gateway.ports.clock import Handle, Scheduler


class Alarm:
    """Calls `callback` once, at the earliest of the times that it was set to since it last rang."""

    def __init__(self, scheduler: Scheduler, callback: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self._callback = callback
        self._handle: Handle | None = None
        self._at = 0.0

    def set(self, when: float) -> None:
        """Rings at `when` (the scheduler's seconds), or in the loop's next step where that has passed."""
        if self._handle is not None:
            if self._at <= when:
                return
            self._handle.cancel()
        self._at = when
        if when <= self._scheduler.time():
            self._handle = self._scheduler.call_soon(self._ring)
        else:
            self._handle = self._scheduler.call_at(when, self._ring)

    def cancel(self) -> None:
        """Does not ring any more, until it is set again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._callback()
