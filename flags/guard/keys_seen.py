"""How many of those who asked of late had a key to be placed by. Pure: time comes in.

Counted are requests, in a counter a minute: nobody knows how many the callers without a key are.
"""

import math
from typing import NamedTuple

MINUTES = 5
_SECONDS = 60


class KeyCounts(NamedTuple):
    """Requests of callers with a key, and of callers without one."""

    keyed: int = 0
    keyless: int = 0


class KeysSeen:
    """The counts of one component: of this minute and of those before it, MINUTES in all."""

    def __init__(self) -> None:
        self._by_minute: dict[int, KeyCounts] = {}

    def seen(self, now: float, *, keyed: bool) -> None:
        """Counts one request; `now` is in monotonic seconds."""
        minute = self._drop_old(now)
        counts = self._by_minute.get(minute, KeyCounts())
        self._by_minute[minute] = KeyCounts(counts.keyed + keyed, counts.keyless + (not keyed))

    def counts(self, now: float) -> KeyCounts:
        """What was counted of late."""
        self._drop_old(now)
        counted = self._by_minute.values()
        return KeyCounts(sum(one.keyed for one in counted), sum(one.keyless for one in counted))

    def _drop_old(self, now: float) -> int:
        """Forgets what is older than MINUTES, and gives the minute that it is."""
        minute = math.floor(now / _SECONDS)
        for old in [known for known in self._by_minute if known <= minute - MINUTES]:
            del self._by_minute[old]
        return minute
