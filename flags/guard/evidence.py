"""What is known of both sides since the last change of a rollout: it adds up, window by window. Pure.

The unit is the caller: each is one value between 0 and 1, the share of the windows in which it was counted
that went badly (`flags.guard.known_callers`). One that fares badly in each of sixty windows is one bad caller
and not sixty, and an address counts for as many callers without a proven name in all windows together as in
one. Changes are seen late or in time by everybody at once, so their unit is the slot of time, a sixtieth of a
window.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from flags.guard.callers import CALLERS_AN_ADDRESS, Side, is_sampled
from flags.guard.confidence import Arm
from flags.guard.known_callers import MOST_CALLERS, KnownCallers, packed, unpacked
from flags.guard.metrics import COMPARED, OF_CALLERS, Metric, is_bad, outcomes, spell_of
from flags.guard.tally import Tally, as_level
from flags.guard.windows import SLOTS

SIDES = (Side.TREATED, Side.CONTROL)
_MOST_WINDOWS = 10**6
_MOST_TAG = 0xFFFF

Fared = Mapping[tuple[Metric, Side], Mapping[int, bool]]
"""By metric and side the numbers of those who count, and whether each fared badly."""


@dataclass(frozen=True, slots=True)
class Late:
    """Of so many slots in which a side saw changes the sum of the shares that it saw late."""

    slots: float = 0.0
    bad: float = 0.0


def _nobody() -> dict[tuple[Metric, Side], KnownCallers]:
    return {(metric, side): KnownCallers() for metric in OF_CALLERS for side in SIDES}


@dataclass(slots=True)
class Evidence:
    """Both sides of one component; not to be changed. `windows` are over and counted.

    `callers` are a sample of those that there are, as in a tally: one of 2 to the power of the side's level.
    `tags` has the addresses of those who have no proven name, by number.
    """

    windows: int = 0
    callers: dict[tuple[Metric, Side], KnownCallers] = field(default_factory=_nobody, repr=False)
    late: dict[Side, Late] = field(default_factory=lambda: dict.fromkeys(SIDES, Late()))
    levels: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    tags: dict[int, int] = field(default_factory=dict, repr=False)

    def with_window(self, tally: Tally) -> Self:
        """The same with one more window that is over, of which `tally` is.

        Also what went badly in a spell that is over: one that comes back in each window is harm.
        """
        base = self._sampled(tally.levels)
        tags = base._admitted(tally)
        fared = base._fared(tally, SLOTS, tags, excuses_spells=False)
        callers = {key: known.with_window(fared[key]) for key, known in base.callers.items()}
        found = replace(
            base, windows=self.windows + 1, callers=callers, late=self._late(tally, SLOTS), tags=tags
        )
        while crowded := found._crowded():
            found = found._sampled({side: found.levels[side] + (side in crowded) for side in SIDES})
        return found

    def arms(self, tally: Tally, slots: int) -> dict[Metric, tuple[Arm, Arm]]:
        """By metric the side that streams and the control, with the last `slots` of a window that goes on."""
        if slots <= 0:
            return {metric: (self._arm(metric, SIDES[0]), self._arm(metric, SIDES[1])) for metric in COMPARED}
        base = self._sampled(tally.levels)
        fared = base._fared(tally, slots, base._admitted(tally), excuses_spells=True)
        found = replace(base, late=self._late(tally, slots))
        return {
            metric: (found._arm(metric, SIDES[0], fared), found._arm(metric, SIDES[1], fared))
            for metric in COMPARED
        }

    def _arm(self, metric: Metric, side: Side, fared: Fared | None = None) -> Arm:
        if metric not in OF_CALLERS:
            return Arm(self.late[side].bad, self.late[side].slots)
        return self.callers[metric, side].arm({} if fared is None else fared[metric, side])

    def _admitted(self, tally: Tally) -> dict[int, int]:
        """The addresses by number, with those of the callers of this window who are among the first of
        theirs."""
        tags, counts = dict(self.tags), Counter(self.tags.values())
        for side in SIDES:
            for number, marks in tally.callers[side].items():
                is_new = marks.tag and number not in tags and is_sampled(number, self.levels[side])
                if is_new and counts[marks.tag] < CALLERS_AN_ADDRESS:
                    tags[number] = marks.tag
                    counts[marks.tag] += 1
        return tags

    def _fared(self, tally: Tally, slots: int, tags: Mapping[int, int], *, excuses_spells: bool) -> Fared:
        fared = {}
        for metric in OF_CALLERS:
            spell = spell_of(tally, metric) if excuses_spells else range(0)
            for side in SIDES:
                level, known = self.levels[side], tally.callers[side]
                fared[metric, side] = {
                    one.number: is_bad(one, spell, slots)
                    for one in outcomes(tally, metric, side)
                    if one.counted <= slots
                    and is_sampled(one.number, level)
                    and (not known[one.number].tag or one.number in tags)
                }
        return fared

    def _late(self, tally: Tally, slots: int) -> dict[Side, Late]:
        treated, control = self.late[SIDES[0]], self.late[SIDES[1]]
        for age, one in tally.freshness.items():
            if age < slots and one.seen:
                treated = Late(treated.slots + 1, treated.bad + one.late / one.seen)
            if age < slots and one.seen_polled:
                control = Late(control.slots + 1, control.bad + one.late_polled / one.seen_polled)
        return {SIDES[0]: treated, SIDES[1]: control}

    def _crowded(self) -> set[Side]:
        return {side for (_, side), known in self.callers.items() if len(known.windows) > MOST_CALLERS}

    def _sampled(self, levels: Mapping[Side, int]) -> Self:
        """The same of the smaller part of all callers that these levels leave."""
        raised = {side for side in SIDES if levels[side] > self.levels[side]}
        if not raised:
            return self
        callers = {
            (metric, side): known.sampled(levels[side]) if side in raised else known
            for (metric, side), known in self.callers.items()
        }
        there = {number for known in callers.values() for number in known.windows}
        tags = {number: tag for number, tag in self.tags.items() if number in there}
        levels = {side: max(levels[side], self.levels[side]) for side in SIDES}
        return replace(self, callers=callers, levels=levels, tags=tags)

    def wire(self) -> dict[str, Any]:
        """The evidence as JSON: for whichever node judges next."""
        return {
            "windows": self.windows,
            "callers": {
                side.name: packed([self.callers[metric, side] for metric in OF_CALLERS]) for side in SIDES
            },
            "late": {side.name: [one.slots, one.bad] for side, one in self.late.items()},
            "levels": {side.name: level for side, level in self.levels.items()},
            "tags": [[number, tag] for number, tag in self.tags.items()],
        }

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """What `wire` made. Raises ValueError where it did not."""
        try:
            sides = {side: unpacked(given["callers"][side.name], len(OF_CALLERS)) for side in SIDES}
            return cls(
                _whole(given["windows"], _MOST_WINDOWS),
                {
                    (metric, side): known
                    for side, each in sides.items()
                    for metric, known in zip(OF_CALLERS, each, strict=True)
                },
                {side: _late_of(*map(float, given["late"][side.name])) for side in SIDES},
                {side: as_level(given["levels"][side.name]) for side in SIDES},
                _tags_of(given["tags"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no evidence: {error!r}") from error


def _late_of(slots: float, bad: float) -> Late:
    if not 0 <= bad <= slots < 1e18:
        raise ValueError("what was seen late is some of what was seen")
    return Late(slots, bad)


def _tags_of(rows: list[list[int]]) -> dict[int, int]:
    if len(rows) > len(OF_CALLERS) * len(SIDES) * MOST_CALLERS:
        raise ValueError("these are too many callers")
    return {_whole(number, 1 << 40): _whole(tag, _MOST_TAG) for number, tag in rows}


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"must be a whole number, 0 to {most}")
    return value
