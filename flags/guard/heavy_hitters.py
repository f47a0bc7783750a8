"""The most frequent labels of an endless stream, in bounded memory. Pure.

The algorithm is Space-Saving: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k
Elements in Data Streams" (ICDT 2005). The memory holds a fixed number of labels. One that is not among them
takes the place of the least frequent, and inherits its count as the most that it may have been seen before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from flags.plain_json import as_count, as_list, as_object, as_row, as_text

_MOST_READ = 1024
_MOST_LABEL = 1024


@dataclass(frozen=True, slots=True)
class HeavyHitter:
    """A label that was seen at least `count - error` and at most `count` times."""

    label: str
    count: int
    error: int


@dataclass(frozen=True, slots=True)
class HitterList:
    """The most frequent of `total` labels, the first the most frequent.

    None that is not listed was seen more than `bound` times.
    """

    hitters: tuple[HeavyHitter, ...] = ()
    total: int = 0
    bound: int = 0

    def less(self, before: "HitterList") -> "HitterList":
        """What was counted since `before`, which the same memory gave. Errors stay what they were."""
        known = {hitter.label: hitter.count for hitter in before.hitters}
        since = [
            HeavyHitter(hitter.label, count, min(hitter.error, count))
            for hitter in self.hitters
            if (count := hitter.count - known.get(hitter.label, 0)) > 0
        ]
        return HitterList(_ranked(since), max(0, self.total - before.total), self.bound)

    def wire(self) -> dict[str, Any]:
        """The JSON object from which `of` gives the list back."""
        rows = [[hitter.label, hitter.count, hitter.error] for hitter in self.hitters]
        return {"hitters": rows, "total": self.total, "bound": self.bound}

    @classmethod
    def of(cls, value: object) -> Self:
        """Raises ValueError where it is no such object."""
        members: Mapping[str, Any] = as_object(value, 3)
        rows = [as_row(row, 3) for row in as_list(members.get("hitters"), _MOST_READ)]
        hitters = [
            HeavyHitter(as_text(label, _MOST_LABEL), as_count(count), as_count(error))
            for label, count, error in rows
        ]
        return cls(_ranked(hitters), as_count(members.get("total")), as_count(members.get("bound")))


def merged_hitters(lists: Iterable[HitterList], capacity: int) -> HitterList:
    """One list of several, of the `capacity` most frequent labels.

    "Mergeable Summaries" (Agarwal, Cormode, Huang, Phillips, Wei, Yi, PODS 2012): counts and errors add up,
    and a label that one list lacks may have been seen there as often as its bound says. What no list has, or
    is cut off, was seen no more often than the new bound.
    """
    parts = list(lists)
    bound = sum(part.bound for part in parts)
    counts: dict[str, int] = {}
    errors: dict[str, int] = {}
    for part in parts:
        for hitter in part.hitters:
            # Its bound stands in the sum of all bounds, and goes where the list does know the label.
            counts[hitter.label] = counts.get(hitter.label, bound) + hitter.count - part.bound
            errors[hitter.label] = errors.get(hitter.label, bound) + hitter.error - part.bound
    found = _ranked(HeavyHitter(label, count, errors[label]) for label, count in counts.items())
    cut_off = found[capacity].count if len(found) > capacity else 0
    return HitterList(found[:capacity], sum(part.total for part in parts), max(bound, cut_off))


def _ranked(hitters: Iterable[HeavyHitter]) -> tuple[HeavyHitter, ...]:
    return tuple(sorted(hitters, key=lambda hitter: -hitter.count))


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

    def hitters(self) -> HitterList:
        """All that are listed, with what is known of the others."""
        return HitterList(self.top(), self.total, self.bound)

    def top(self) -> tuple[HeavyHitter, ...]:
        """All that are listed, the most frequent first."""
        ranked = sorted(self._counts.items(), key=lambda item: -item[1])
        return tuple(HeavyHitter(label, count, self._errors[label]) for label, count in ranked)
