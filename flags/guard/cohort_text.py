"""Both sides of a comparison as people read them."""

import math

from flags.guard.cohorts import Comparison, Outcome
from flags.guard.metrics import Metric

_BADLY = {
    Metric.ERROR_RATE: "an error",
    Metric.FIRST_EVENT: "no first event",
    Metric.FALLBACK_RATE: "a fallback",
}
_OF_CHANGES = frozenset({Metric.PUSH_LAG})


def side_by_side(comparison: Comparison) -> str:
    """Both sides in a few words: what share of how many fared badly."""
    treated, control = comparison.treated, comparison.control
    if comparison.metric in _OF_CHANGES:
        return (
            f"{_percent(treated.share)} of what was pushed late, in {treated.values:.0f} slots of time, and "
            f"{_percent(control.share)} of what was polled, in {control.values:.0f}"
        )
    return (
        f"{_BADLY[comparison.metric]} for {_percent(treated.share)} of {treated.values:.0f} callers who "
        f"stream and {_percent(control.share)} of {control.values:.0f} callers who poll"
    )


def beside(comparison: Comparison) -> str:
    """What the control says of a metric, in a sentence."""
    if comparison.harm is None:
        return f"{comparison.metric} has nothing to compare with yet: {side_by_side(comparison)}."
    low, high = comparison.interval
    margin = _points(comparison.margin)
    found = f"{comparison.metric}: {side_by_side(comparison)}; harm of {_points(low)} to {_points(high)}"
    if comparison.outcome is Outcome.WORSE:
        return f"{found}, past the margin of {margin}."
    if comparison.outcome is Outcome.FINE:
        return f"{found}, below the margin of {margin}."
    more = comparison.more_wanted
    noun = "caller" if more == 1 else "callers"
    unit = "slots with changes" if comparison.metric in _OF_CHANGES else f"{noun} streaming"
    wanted = "more than can be expected" if more is None else f"about {more} more {unit}"
    return f"{found}: against the margin of {margin} a decision takes {wanted}."


def _percent(share: float) -> str:
    return f"{math.ceil(round(share * 10_000, 6)) / 100:g} %"


def _points(share: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{round(share * 100, 2):g} points"
