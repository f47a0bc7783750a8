"""Figures over the last so many seconds, in bounded memory. Pure: time comes in, in monotonic seconds."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from flags.plain_json import as_count, as_list, as_row

Slot = TypeVar("Slot")

SLOTS = 60
"""In how many slots a window is kept: it is exact to a sixtieth of its length."""

_ACCURACY = 0.05
_LOG_GAMMA = math.log((1 + _ACCURACY) / (1 - _ACCURACY))
_LEAST, _MOST = 0.1, 1e7
_LOWEST, _HIGHEST = math.ceil(math.log(_LEAST) / _LOG_GAMMA), math.ceil(math.log(_MOST) / _LOG_GAMMA)


class SlidingWindow(Generic[Slot]):
    """What happened in the last `seconds`, in slots that `make` gives empty and the caller fills.

    A time before the latest one counts as the latest.
    """

    def __init__(self, seconds: float, make: Callable[[], Slot]) -> None:
        if not 0 < seconds < math.inf:
            raise ValueError("a window is longer than 0 seconds")
        self._slot_seconds = seconds / SLOTS
        self._make = make
        self._slots: dict[int, Slot] = {}
        self._latest = 0
        self._slot: Slot | None = None
        self._until = -math.inf

    def current(self, now: float) -> Slot:
        """The slot for what happens now."""
        if self._slot is None or now >= self._until:
            self._slot = self._current(now)
            self._until = (self._latest + 1) * self._slot_seconds
        return self._slot

    def _current(self, now: float) -> Slot:
        number = self._turn(now)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = self._make()
        return slot

    def since(self, start: float, now: float) -> Iterator[Slot]:
        """The slots of the window that hold nothing from before `start`, the oldest first."""
        for _, slot in self.aged(start, now):
            yield slot

    def aged(self, start: float, now: float) -> Iterator[tuple[int, Slot]]:
        """The same, each with how many slots ago it was: 0 is the one of now."""
        latest = self._turn(now)
        for number, slot in self._slots.items():
            if number * self._slot_seconds >= start:
                yield latest - number, slot

    def _turn(self, now: float) -> int:
        number = math.floor(now / self._slot_seconds)
        if not self._slots or number > self._latest:
            self._latest = number
            self._slot = None
            for old in [old for old in self._slots if old <= number - SLOTS]:
                del self._slots[old]
        return self._latest


@dataclass(slots=True)
class Share:
    """How many of something went well, and how many did not; `noisy` of the latter prove nothing."""

    good: int = 0
    bad: int = 0
    noisy: int = 0

    def add(self, good: int, bad: int, noisy: int = 0) -> None:
        """Adds so many of each."""
        self.good += good
        self.bad += bad
        self.noisy += noisy

    def merge(self, other: "Share") -> None:
        """Adds what another has counted."""
        self.add(other.good, other.bad, other.noisy)

    @property
    def total(self) -> int:
        """All of them."""
        return self.good + self.bad


class Durations:
    """Durations in milliseconds, and their quantiles to 5 %, in fewer than 200 counters.

    The counters' bounds grow by a constant factor, so that the error is one of the value and not of the rank:
    DDSketch, without its merging of bins (Masson, Rim, Lee, "DDSketch: A Fast and Fully-Mergeable Quantile
    Sketch with Relative-Error Guarantees", VLDB 2019). Below 0.1 ms and above 10,000 s it counts the bound.
    """

    __slots__ = ("_bins", "total")

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self.total = 0

    def add(self, milliseconds: float) -> None:
        """Counts one duration."""
        bounded = min(_MOST, max(_LEAST, milliseconds))
        number = math.ceil(math.log(bounded) / _LOG_GAMMA)
        self._bins[number] = self._bins.get(number, 0) + 1
        self.total += 1

    def merge(self, other: "Durations") -> None:
        """Adds what another has counted."""
        for number, count in other._bins.items():
            self._bins[number] = self._bins.get(number, 0) + count
        self.total += other.total

    def bins(self) -> list[list[int]]:
        """The counters as JSON, from which `of` gives the durations back: pairs of number and count."""
        return [[number, self._bins[number]] for number in sorted(self._bins)]

    @classmethod
    def of(cls, bins: object) -> Self:
        """The durations that `bins` gave. Raises ValueError where it gave no such thing."""
        durations = cls()
        for number, count in (as_row(row, 2) for row in as_list(bins, _HIGHEST - _LOWEST + 1)):
            if type(number) is not int or not _LOWEST <= number <= _HIGHEST or number in durations._bins:
                raise ValueError("must be a counter's number, each once")
            durations._bins[number] = as_count(count)
            durations.total += count
        return durations

    def less(self, before: "Durations") -> "Durations":
        """What was counted since `before`, which is these at an earlier time."""
        since = Durations()
        for number, count in self._bins.items():
            more = count - before._bins.get(number, 0)
            if more > 0:
                since._bins[number] = more
                since.total += more
        return since

    def quantile(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of all do not exceed; None where there is none."""
        rank = share * (self.total - 1)
        seen = 0
        for number in sorted(self._bins):
            seen += self._bins[number]
            if seen > rank:
                # The middle of the bin, by which neither end is more than the accuracy away.
                return math.exp(number * _LOG_GAMMA) * (1 - _ACCURACY)
        return None
