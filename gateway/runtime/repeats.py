"""What happens over and over: told once, and then as a count, so that a flood of it can't drown anything."""

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

WINDOW_SECONDS = 10.0
"""For how long the like of what was told is counted only."""
MAX_KEYS = 100
"""How many different ones are told apart within a window; the others count as one."""


class Counted(NamedTuple, Generic[Key]):
    """So many further ones of a key, of `others` where it is None, and when the last came, in ms."""

    key: Key | None
    times: int
    last_ms: int


class Repeats(Generic[Key]):
    """Tells the first of each key from those that follow within a window, which it counts.

    The first of the others, beyond MAX_KEYS, is counted too.
    """

    def __init__(self) -> None:
        self._counts: dict[Key | None, tuple[int, int]] = {}
        self._since = 0.0

    def is_first(self, key: Key, now: float, wall_ms: int) -> bool:
        """Whether this one is to be told now. `now` is in monotonic seconds."""
        if not self._counts:
            self._since = now
        known = key in self._counts
        if not known and len(self._counts) < MAX_KEYS:
            self._counts[key] = (0, wall_ms)
            return True
        counted = key if known else None
        count, _ = self._counts.get(counted, (0, 0))
        self._counts[counted] = (count + 1, wall_ms)
        return False

    def take(self, now: float, *, at_once: bool = False) -> list[Counted[Key]]:
        """What was counted, once the window is over, or `at_once`; another begins then."""
        if not self._counts or (now - self._since < WINDOW_SECONDS and not at_once):
            return []
        counts, self._counts = self._counts, {}
        return [Counted(key, count, last_ms) for key, (count, last_ms) in counts.items() if count]
