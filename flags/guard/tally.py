"""What one node, or all of them together, saw of a component in a window: figures that add up. Pure.

Times are ages in slots, sixtieths of the window, so that nodes need not agree on what time it is.
"""

import base64
import binascii
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flags.guard.callers import CALLERS_AN_ADDRESS, MOST_LEVEL, SAMPLED, Side, is_sampled
from flags.guard.marks import Marks
from flags.guard.windows import SLOTS, Durations, Share

RECENT_SLOTS = SLOTS // 10
"""The last tenth of a window."""
_MARKS = struct.Struct(">5sH5B")
_MOST_CALLERS = 2 * SAMPLED
"""Of so many callers of a side at most a node tells: as many as it keeps, and once more."""


@dataclass(slots=True)
class Sums:
    """What is counted of answers and events, callers apart. `own_polls` are the gateway's, of shared routes.

    `lags` are from when the gateway had an event to when it was written, `source_lags` from the event's own
    timestamp.
    """

    compared: Share = field(default_factory=Share)
    own_polls: Share = field(default_factory=Share)
    lags: Durations = field(default_factory=Durations)
    source_lags: Durations = field(default_factory=Durations)

    def merge(self, other: "Sums") -> None:
        """Adds what another has counted."""
        self.compared.merge(other.compared)
        self.own_polls.merge(other.own_polls)
        self.lags.merge(other.lags)
        self.source_lags.merge(other.source_lags)


@dataclass(slots=True)
class Freshness:
    """Of the changes of one slot, by side: how many were seen late, of how many; each times its readers."""

    late: float = 0.0
    seen: float = 0.0
    late_polled: float = 0.0
    seen_polled: float = 0.0

    def merge(self, other: "Freshness") -> None:
        """Adds what another has counted."""
        self.late += other.late
        self.seen += other.seen
        self.late_polled += other.late_polled
        self.seen_polled += other.seen_polled


@dataclass(slots=True)
class Tally:
    """A window's figures: `whole` since the start that counts, `recent` of its last tenth.

    `freshness` is by age in slots. `callers` are a sample: by side, of those whose number fits its level.
    `streams` are open now; `is_crowded` says that an address had more callers than count. In `outcomes`
    readers keep what they found in a tally that is settled.
    """

    whole: Sums = field(default_factory=Sums)
    recent: Sums = field(default_factory=Sums)
    freshness: dict[int, Freshness] = field(default_factory=dict)
    callers: dict[Side, dict[int, Marks]] = field(default_factory=lambda: {side: {} for side in Side})
    levels: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    streams: int = 0
    is_crowded: bool = False
    outcomes: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def merge(self, other: "Tally") -> None:
        """Adds what another node saw: a caller that both saw is one, on the side of who saw it last."""
        self.whole.merge(other.whole)
        self.recent.merge(other.recent)
        self.streams += other.streams
        self.is_crowded |= other.is_crowded
        for age, freshness in other.freshness.items():
            self.freshness.setdefault(age, Freshness()).merge(freshness)
        for side in Side:
            self._merge_side(side, other)

    def _merge_side(self, side: Side, other: "Tally") -> None:
        mine = self.callers[side]
        for number, marks in other.callers[side].items():
            had = mine.get(number)
            mine[number] = marks if had is None else had.merge(marks)
        level = max(self.levels[side], other.levels[side])
        if level != self.levels[side] or level != other.levels[side]:
            self.callers[side] = {
                number: marks for number, marks in mine.items() if is_sampled(number, level)
            }
        self.levels[side] = level

    def aged(self, slots: int) -> "Tally":
        """The same so many slots later. What has no age of its own is kept until the window is over."""
        if slots >= SLOTS:
            return Tally()
        callers = {
            side: {number: aged for number, marks in known.items() if (aged := marks.aged(slots)) is not None}
            for side, known in self.callers.items()
        }
        freshness = {age + slots: value for age, value in self.freshness.items() if age + slots < SLOTS}
        recent = self.recent if slots < RECENT_SLOTS else Sums()
        return Tally(self.whole, recent, freshness, callers, self.levels, self.streams, self.is_crowded)

    def since(self, slots: int) -> "Tally":
        """The same without what was longer ago than so many slots. What has no age of its own is kept."""
        callers = {
            side: {
                number: left for number, marks in known.items() if (left := marks.since(slots)) is not None
            }
            for side, known in self.callers.items()
        }
        freshness = {age: value for age, value in self.freshness.items() if age <= slots}
        return replace(self, callers=callers, freshness=freshness, outcomes={})

    def settle(self) -> None:
        """Once all is merged: a caller on two sides is on that where it was seen last, and an address counts
        for CALLERS_AN_ADDRESS at most over all nodes."""
        latest: dict[int, tuple[int, Side]] = {}
        for side, known in self.callers.items():
            for number, marks in known.items():
                found = latest.get(number)
                if found is None or marks.seen < found[0]:
                    latest[number] = marks.seen, side
        tags: Counter[int] = Counter()
        settled: dict[Side, dict[int, Marks]] = {side: {} for side in Side}
        for number, (_, side) in sorted(latest.items()):
            marks = self.callers[side][number]
            tags[marks.tag] += 1
            if not marks.tag or tags[marks.tag] <= CALLERS_AN_ADDRESS:
                settled[side][number] = marks
            else:
                self.is_crowded = True
        self.callers = settled
        self.outcomes.clear()

    def wire(self) -> dict[str, Any]:
        """The tally as JSON."""
        return {
            "whole": _sums_wire(self.whole),
            "recent": _sums_wire(self.recent),
            "freshness": [
                [age, one.late, one.seen, one.late_polled, one.seen_polled]
                for age, one in self.freshness.items()
            ],
            "callers": {
                side.name: [self.levels[side], _packed(known)]
                for side, known in self.callers.items()
                if known
            },
            "streams": self.streams,
            "crowded": self.is_crowded,
        }

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Tally":
        """What `wire` made. Raises ValueError where it did not."""
        try:
            callers: dict[Side, dict[int, Marks]] = {side: {} for side in Side}
            levels = dict.fromkeys(Side, 0)
            for name, (level, packed) in given["callers"].items():
                levels[Side[name]], callers[Side[name]] = as_level(level), _unpacked(packed)
            return cls(
                _sums_of(given["whole"]),
                _sums_of(given["recent"]),
                {_age(age): Freshness(*map(_amount, values)) for age, *values in given["freshness"]},
                callers,
                levels,
                _count(given["streams"]),
                given["crowded"] is True,
            )
        except (KeyError, TypeError, AttributeError, struct.error, binascii.Error) as error:
            raise ValueError(f"this is no tally: {error!r}") from error


def _sums_wire(sums: Sums) -> dict[str, Any]:
    return {
        "compared": [sums.compared.good, sums.compared.bad, sums.compared.noisy],
        "ownPolls": [sums.own_polls.good, sums.own_polls.bad],
        "lags": sums.lags.bins(),
        "sourceLags": sums.source_lags.bins(),
    }


def _sums_of(given: Mapping[str, Any]) -> Sums:
    return Sums(
        Share(*map(_count, given["compared"])),
        Share(*map(_count, given["ownPolls"])),
        Durations.of(given["lags"]),
        Durations.of(given["sourceLags"]),
    )


def _packed(callers: Mapping[int, Marks]) -> str:
    rows = (_MARKS.pack(number.to_bytes(5), *marks) for number, marks in callers.items())
    return base64.b64encode(b"".join(rows)).decode()


def _unpacked(text: str) -> dict[int, Marks]:
    data = base64.b64decode(text, validate=True)
    if len(data) > _MOST_CALLERS * _MARKS.size:
        raise ValueError("these are too many callers")
    rows: Iterable[tuple[Any, ...]] = _MARKS.iter_unpack(data)
    return {int.from_bytes(number): Marks(*ages) for number, *ages in rows}


def as_level(value: object) -> int:
    """The level of a sample. Raises ValueError where it is none."""
    if _count(value) > MOST_LEVEL:
        raise ValueError(f"a level is 0 to {MOST_LEVEL}")
    return _count(value)


def _age(value: object) -> int:
    if not 0 <= _count(value) <= SLOTS:
        raise ValueError(f"an age is 0 to {SLOTS} slots")
    return _count(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ValueError("a count is a whole number of 0 or more")
    return value


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise ValueError("an amount is a number of 0 or more")
    return value
