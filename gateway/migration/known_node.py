"""What one node makes of another's summaries, by its own clocks: their age, and whether they count. Pure.

Times are in seconds: `now` of this node's monotonic clock, `wall` of the clock on its wall.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

Reason = Literal["clock", "version", "unreadable", "unreachable"]
"""Why a node's figures are left out: its clock is wrong, it is of another release, or its value is garbage.

`unreachable`: the store that nodes share has not answered this node for GONE_SECONDS.
"""

CLOCK_SECONDS = 10.0
"""By how much a node's clock may be off."""
GONE_SECONDS = 10.0
"""A node that has said nothing for so long is gone."""


class KnownNode:
    """A node that is on the roster, as of the last look at what it put.

    A new version of its summary was made since the look before, so its clock is right where it says so, give
    or take CLOCK_SECONDS. From there on this node's own clock tells its age. At the first look nobody knows
    when it was made, but by the clocks on the walls.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.content: Mapping[str, Any] | None = None
        """What it said last; None before it said anything."""
        self.reason: Reason | None = None
        """Why that does not count."""
        self.is_told = False
        """Whether a line has said so."""
        self.ended = False
        self._version = 0
        self._looked_at = -math.inf
        self._seen_at = math.inf
        self._age_when_seen = 0.0

    def is_new(self, version: int) -> bool:
        """Whether it has put something since the last look."""
        return version != self._version

    def looked(self, began: float, now: float) -> None:
        """It was looked at, from `began` to `now`; what came of it has been said by `said` before that."""
        self._looked_at = began
        if self._seen_at == math.inf:
            self._seen_at = now

    def said(self, version: int, at: float, now: float, wall: float) -> None:
        """It put a summary that can be read, at `at` by its clock. To be followed by `looked`."""
        since_look, late = now - self._looked_at, wall - at
        is_wrong = not -CLOCK_SECONDS <= late <= since_look + CLOCK_SECONDS
        self.reason = "clock" if is_wrong else None
        self._seen(version, 0.0 if is_wrong else min(max(0.0, late), since_look), now)

    def said_nothing_usable(self, version: int, reason: Reason, now: float) -> None:
        """It put something that can't be counted. To be followed by `looked`."""
        self.reason, self.content = reason, None
        self._seen(version, 0.0, now)

    def _seen(self, version: int, age: float, now: float) -> None:
        self._version, self._seen_at, self._age_when_seen = version, now, age

    def age(self, now: float) -> float:
        """How long ago it said what it said last."""
        return max(0.0, now - self._seen_at) + self._age_when_seen

    @property
    def is_gone(self) -> bool:
        """Whether it ended, or had said nothing for GONE_SECONDS when it was last looked at."""
        return self.ended or self.age(self._looked_at) >= GONE_SECONDS

    def is_past(self, retain_seconds: float, now: float) -> bool:
        """Whether it has been gone for so long that it may be given up.

        Also by this node's own clock it is gone: one that is merely wrong must give up nobody.
        """
        return self.age(now) >= retain_seconds and now - self._seen_at >= GONE_SECONDS
