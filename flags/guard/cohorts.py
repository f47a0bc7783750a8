"""Those who stream beside those who poll, of the same minutes: is one side worse off? Pure.

The rollout's percentage draws who streams by a hash, so that both are random samples of the same callers, and
what differs between them comes of push, or of chance. `flags.guard.confidence` says which differences are not
chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from flags.decide.guard_settings import GuardSettings
from flags.guard.confidence import Arm, Interval, difference, is_above, is_below, times_wanted
from flags.guard.metrics import COMPARED, Metric

FEWEST = 2
"""With fewer callers on a side there is no control."""


class Outcome(StrEnum):
    """What is known of the harm: past its margin, below it, or neither yet."""

    WORSE = "worse"
    FINE = "fine"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric on both sides. `margin` is the largest harm that is none, at the level `alpha`.

    `settled` are both sides as of the windows that are over. In one that goes on, callers were seen to whom
    what is going to happen has not happened yet: that there is no harm is not concluded from it.
    """

    metric: Metric
    treated: Arm
    control: Arm
    settled: tuple[Arm, Arm]
    margin: float
    alpha: float
    outcome: Outcome

    @property
    def harm(self) -> float | None:
        """By how much more, as a share, it goes badly for those who stream; None where a side has nothing."""
        if not self.treated.values or not self.control.values:
            return None
        return self.treated.share - self.control.share

    def unless_over(self, treated: Arm, control: Arm) -> "Comparison":
        """The same, but open where it is worse and these, the last window's sides, show no such harm."""
        if self.outcome is Outcome.WORSE and treated.share - control.share <= self.margin:
            return replace(self, outcome=Outcome.UNDECIDED)
        return self

    @property
    def interval(self) -> Interval:
        """Between which bounds the harm lies: the lower is of now, the upper of the windows that are over."""
        low = difference(self.treated, self.control, self.alpha).low
        return Interval(low, max(low, difference(*self.settled, self.alpha).high))

    @property
    def more_wanted(self) -> int | None:
        """About how many more values of the side that streams would decide; None where that is out of
        reach."""
        times = times_wanted(self.treated, self.control, self.margin, self.alpha)
        return None if times is None else max(1, round((times - 1) * max(1.0, self.treated.values)))


def has_control(arms: Mapping[Metric, tuple[Arm, Arm]]) -> bool:
    """Whether there are callers on both sides to compare."""
    return min(arm.values for arm in arms[Metric.ERROR_RATE]) >= FEWEST


def compare(
    settings: GuardSettings,
    arms: Mapping[Metric, tuple[Arm, Arm]],
    settled: Mapping[Metric, tuple[Arm, Arm]],
) -> Sequence[Comparison]:
    """All metrics that have a control: by the sides as of now, and as of the windows that are over.

    The confidence is that of all together (Bonferroni).
    """
    alpha = (1 - settings.confidence) / len(COMPARED)
    return [
        _compare(metric, arms[metric], settled[metric], settings.margin(metric), alpha) for metric in COMPARED
    ]


def _compare(
    metric: Metric, arms: tuple[Arm, Arm], settled: tuple[Arm, Arm], margin: float, alpha: float
) -> Comparison:
    outcome = Outcome.UNDECIDED
    if _have_values(arms) and is_above(*arms, margin, alpha):
        outcome = Outcome.WORSE
    elif _have_values(settled) and is_below(*settled, margin, alpha):
        outcome = Outcome.FINE
    return Comparison(metric, *arms, settled, margin, alpha, outcome)


def _have_values(arms: tuple[Arm, Arm]) -> bool:
    return all(arm.values for arm in arms)
