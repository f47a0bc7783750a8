"""When the upstream of one route is asked next: by its interval, after writes and after failures."""

import asyncio
import math
from collections.abc import Callable

from gateway.core import chance
from gateway.core.backoff import Backoff
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute

_BACKOFF_CAP_SECONDS = 30.0
# The most that backing off adds, in intervals: an upstream that is back is seen within so many.
_BACKOFF_CAP_INTERVALS = 10


class Schedule:
    """The times of one route's polls, in monotonic seconds of `clock`, but for the interval's: the loop's."""

    def __init__(
        self,
        route: LegacyRoute,
        clock: Clock,
        draw: Callable[[float, float], float] = chance.draw,
    ) -> None:
        cap = min(_BACKOFF_CAP_SECONDS, _BACKOFF_CAP_INTERVALS * route.interval_seconds)
        self._clock = clock
        self._backoff = Backoff(route.interval_seconds, cap, draw)
        given = route.write_poll_seconds
        self._write_seconds = route.interval_seconds if given is None else given
        self._due = -math.inf
        self._left_alone_until = -math.inf
        self.after_write_at = -math.inf
        """When a write may bring forward a poll, at the earliest."""

    @property
    def is_left_alone(self) -> bool:
        """Whether the upstream asked not to be asked yet (RFC 9110, section 10.2.3), whoever wants it."""
        return self._clock.monotonic() < self._left_alone_until

    def begun(self, pace_seconds: float, *, for_write: bool) -> None:
        """A poll has begun, and the next is due after `pace_seconds`."""
        now = asyncio.get_running_loop().time()
        if for_write and now < self._due:
            self.after_write_at = self._clock.monotonic() + self._write_seconds
        self._due = now + pace_seconds

    def answered(self) -> None:
        """It gave an answer."""
        self._backoff.reset()

    def failed(self, left_alone_seconds: float) -> None:
        """It gave nothing to use; the upstream wants to be left alone for so long, which may be 0."""
        self._due = max(self._due, asyncio.get_running_loop().time()) + self._backoff.next()
        self._left_alone_until = self._clock.monotonic() + left_alone_seconds

    def delay(self, at: float, *, is_wanted: bool) -> float:
        """The seconds until the next poll begins: 0 or less where it may now, infinite where there is none.

        One is asked for at `at`, infinity where it is not; where somebody wants the result, one is due after
        the last.
        """
        now = self._clock.monotonic()
        wait = at - now
        if is_wanted:
            wait = min(wait, self._due - asyncio.get_running_loop().time())
        return max(wait, self._left_alone_until - now)
