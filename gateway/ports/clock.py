"""Time behind small protocols, so that tests turn it by hand."""

import time
from collections.abc import Callable
from typing import Any, Protocol


class Clock(Protocol):
    """Two clocks: one for durations, one for people."""

    def monotonic(self) -> float:
        """Seconds since some fixed instant; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z; may jump either way when the machine's clock is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Handle(Protocol):
    """A callback that was scheduled and can be taken back."""

    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """The part of an event loop that the hub needs; asyncio's loops are one as they are."""

    def time(self) -> float: ...

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Handle: ...

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Handle: ...
