"""What is known of both sides since the last change of a rollout: it adds up, window by window. Pure.

The unit is the caller: `callers` who were seen, and of all the windows in which one was seen, the share in
which it fared badly. A caller that fares badly in each of sixty windows is one bad caller and not sixty, so a
mean over callers and windows counts as one value for each caller (see `flags.guard.confidence`): a caller's
own mean varies less than a value of 0 or 1 with the same mean. Changes are seen late or in time by everybody
at once, so their unit is the slot of time, a sixtieth of a window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from flags.guard.callers import SAMPLED, Side, is_sampled
from flags.guard.confidence import Arm
from flags.guard.metrics import COMPARED, SEEN_BY, Metric, Seen, is_bad, outcomes, spell_of
from flags.guard.tally import Tally, as_level
from flags.guard.windows import SLOTS

SIDES = (Side.TREATED, Side.CONTROL)
_NUMBER_CHARACTERS = 10
_MOST_WINDOWS = 10**6
_MOST_CALLERS = 2 * SAMPLED
"""Of a side, over all windows: callers come and go. Beyond it every other one is forgotten."""


@dataclass(slots=True)
class Total:
    """Over the windows that are over: how many values there were, and how many, or how much, was bad."""

    values: float = 0.0
    bad: float = 0.0


def _totals() -> dict[tuple[Metric, Side], Total]:
    return {(metric, side): Total() for metric in COMPARED for side in SIDES}


def _nobody() -> dict[tuple[Seen, Side], set[int]]:
    return {(seen, side): set() for seen in Seen for side in SIDES}


@dataclass(slots=True)
class Evidence:
    """Both sides of one component; not to be changed. `windows` are over and counted, `callers` are the
    numbers of all who were seen in them.

    Callers are a sample of those that there are, as in a tally: one of 2 to the power of the side's level.
    """

    windows: int = 0
    totals: dict[tuple[Metric, Side], Total] = field(default_factory=_totals)
    callers: dict[tuple[Seen, Side], set[int]] = field(default_factory=_nobody, repr=False)
    levels: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))

    def with_window(self, tally: Tally) -> Self:
        """The same with one more window that is over, of which `tally` is."""
        found = self._with(tally, SLOTS)
        found.windows += 1
        return found

    def arms(self, tally: Tally, slots: int) -> dict[Metric, tuple[Arm, Arm]]:
        """By metric the side that streams and the control, with the last `slots` of a window that goes on."""
        found = self._with(tally, slots)
        return {metric: (found._arm(metric, SIDES[0]), found._arm(metric, SIDES[1])) for metric in COMPARED}

    def _with(self, tally: Tally, slots: int) -> Self:
        found = type(self)(
            self.windows,
            {key: Total(total.values, total.bad) for key, total in self.totals.items()},
            {key: set(numbers) for key, numbers in self.callers.items()},
            dict(self.levels),
        )
        if slots > 0:
            found._add(tally, slots)
        return found

    def _add(self, tally: Tally, slots: int) -> None:
        spells = {metric: spell_of(tally, metric) for metric in SEEN_BY}
        for side in SIDES:
            self._raise_level(side, tally.levels[side])
            for metric, seen in SEEN_BY.items():
                total, numbers = self.totals[metric, side], self.callers[seen, side]
                level, spell = self.levels[side], spells[metric]
                found = [one for one in outcomes(tally, metric, side) if one.counted <= slots]
                if level > tally.levels[side]:
                    found = [one for one in found if is_sampled(one.number, level)]
                total.values += len(found)
                total.bad += sum(is_bad(one, spell, slots) for one in found if one.bad <= slots)
                numbers.update(one.number for one in found)
            while max(len(self.callers[seen, side]) for seen in Seen) > _MOST_CALLERS:
                self._raise_level(side, self.levels[side] + 1)
        self._add_changes(tally, slots)

    def _add_changes(self, tally: Tally, slots: int) -> None:
        treated, control = (self.totals[Metric.PUSH_LAG, side] for side in SIDES)
        for age, one in tally.freshness.items():
            if age < slots:
                for total, late, seen in (
                    (treated, one.late, one.seen),
                    (control, one.late_polled, one.seen_polled),
                ):
                    if seen:
                        total.values += 1
                        total.bad += late / seen

    def _raise_level(self, side: Side, level: int) -> None:
        """The sample has become a smaller part of all callers; the totals go on, being shares."""
        if level > self.levels[side]:
            self.levels[side] = level
            for seen in Seen:
                self.callers[seen, side] = {
                    number for number in self.callers[seen, side] if is_sampled(number, level)
                }

    def _arm(self, metric: Metric, side: Side) -> Arm:
        total = self.totals[metric, side]
        if not total.values:
            return Arm(0.0, 0.0)
        seen = SEEN_BY.get(metric)
        count = total.values if seen is None else float(len(self.callers[seen, side]))
        return Arm(min(count, count * total.bad / total.values), count)

    def wire(self) -> dict[str, Any]:
        """The evidence as JSON: for whichever node judges next."""
        return {
            "windows": self.windows,
            "totals": {
                f"{metric} {side.name}": [one.values, one.bad] for (metric, side), one in self.totals.items()
            },
            "callers": {
                f"{seen} {side.name}": "".join(f"{number:010x}" for number in numbers)
                for (seen, side), numbers in self.callers.items()
            },
            "levels": {side.name: level for side, level in self.levels.items()},
        }

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """What `wire` made. Raises ValueError where it did not."""
        try:
            evidence = cls(_whole(given["windows"], _MOST_WINDOWS))
            for metric, side in evidence.totals:
                values, bad = map(float, given["totals"][f"{metric} {side.name}"])
                if not 0 <= bad <= values < 1e18:
                    raise ValueError("a total's bad values are some of its values")
                evidence.totals[metric, side] = Total(values, bad)
            for seen, side in evidence.callers:
                evidence.callers[seen, side] = _numbers(given["callers"][f"{seen} {side.name}"])
            evidence.levels = {side: as_level(given["levels"][side.name]) for side in SIDES}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no evidence: {error!r}") from error
        return evidence


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"must be a whole number, 0 to {most}")
    return value


def _numbers(text: str) -> set[int]:
    if len(text) > _MOST_CALLERS * _NUMBER_CHARACTERS:
        raise ValueError("these are too many callers")
    starts = range(0, len(text), _NUMBER_CHARACTERS)
    return {int(text[start : start + _NUMBER_CHARACTERS], 16) for start in starts}
