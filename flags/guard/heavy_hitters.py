"""The most frequent labels of an endless stream, in bounded memory. Pure.

The algorithm is Space-Saving: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k
Elements in Data Streams" (ICDT 2005). The memory holds a fixed number of labels. One that is not among them
takes the place of the least frequent, and inherits its count as the most that it may have been seen before.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeavyHitter:
    """A label that was seen at least `count - error` and at most `count` times."""

    label: str
    count: int
    error: int


class SpaceSaving:
    """Counts labels, at most `capacity` of them at a time.

    After `total` labels: the counts add up to `total`; no error, and no label that is not listed, exceeds
    `bound`, which is at most `total / capacity`. So whatever makes up more than that share is listed.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("the capacity must be 1 or more")
        self._capacity = capacity
        self._counts: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self.total = 0

    @property
    def bound(self) -> int:
        """How often a label may have been seen, at most, that is not listed."""
        return min(self._counts.values()) if len(self._counts) == self._capacity else 0

    def add(self, label: str) -> str | None:
        """Counts a label once; gives the label that lost its place to it, if one did.

        Takes time in proportion to the capacity where it did, else constant time.
        """
        self.total += 1
        if label in self._counts:
            self._counts[label] += 1
            return None
        if len(self._counts) < self._capacity:
            self._counts[label], self._errors[label] = 1, 0
            return None
        least = min(self._counts, key=self._counts.__getitem__)
        inherited = self._counts.pop(least)
        del self._errors[least]
        self._counts[label], self._errors[label] = inherited + 1, inherited
        return least

    def top(self) -> tuple[HeavyHitter, ...]:
        """All that are listed, the most frequent first."""
        ranked = sorted(self._counts.items(), key=lambda item: -item[1])
        return tuple(HeavyHitter(label, count, self._errors[label]) for label, count in ranked)
