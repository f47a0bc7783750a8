"""How many of those who asked of late had a key to be placed by. Pure: time comes in.

Counted are requests, in a counter a minute: nobody knows how many the callers without a key are.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

from flags.plain_json import as_count, as_row

MINUTES = 5
_SECONDS = 60


class KeyCounts(NamedTuple):
    """Requests of callers with a key, and of callers without one."""

    keyed: int = 0
    keyless: int = 0

    def wire(self) -> list[int]:
        """The JSON list from which `of` gives the counts back."""
        return [self.keyed, self.keyless]

    @classmethod
    def of(cls, value: object) -> Self:
        """Raises ValueError where it is no such list."""
        return cls(*(as_count(count) for count in as_row(value, 2)))


def merged(counts: Iterable[KeyCounts]) -> KeyCounts:
    """Those of several nodes together."""
    parts = list(counts)
    return KeyCounts(sum(part.keyed for part in parts), sum(part.keyless for part in parts))


class KeysSeen:
    """The counts of one component: of this minute and of those before it, MINUTES in all."""

    def __init__(self) -> None:
        self._by_minute: dict[int, list[int]] = {}

    def seen(self, now: float, *, keyed: bool) -> None:
        """Counts one request; `now` is in monotonic seconds."""
        minute = int(now // _SECONDS)
        counts = self._by_minute.get(minute)
        if counts is None:
            self._drop_old(now)
            counts = self._by_minute[minute] = [0, 0]
        counts[not keyed] += 1

    def counts(self, now: float) -> KeyCounts:
        """What was counted of late."""
        self._drop_old(now)
        counted = self._by_minute.values()
        return KeyCounts(sum(keyed for keyed, _ in counted), sum(keyless for _, keyless in counted))

    def _drop_old(self, now: float) -> None:
        """Forgets what is older than MINUTES."""
        minute = int(now // _SECONDS)
        for old in [known for known in self._by_minute if known <= minute - MINUTES]:
            del self._by_minute[old]
