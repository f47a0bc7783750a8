"""Confidence sequences for a difference of two shares: bounds that hold however often one looks. Pure.

Whoever looks sixty times a window at figures that vary will see a bad one by chance. A confidence sequence is
a row of intervals, one for each amount of evidence, that hold *all at once* with the wanted probability. So
it may be looked at at any time, and acted upon as soon as it says something.

One side: for values between 0 and 1 with the mean m, `bad` being the sum of so many `values`, this is the
wealth of somebody who bets against m, averaged over all bets with Jeffreys' weights (a beta-binomial
mixture):

    W(m) = B(bad + 1/2, good + 1/2) / B(1/2, 1/2) / (m^bad (1 - m)^good),  good = values - bad

If m is the mean, W(m) is not expected to grow, and by Ville's inequality it exceeds 1/alpha at any time with
probability alpha at most. For values of 0 and 1 that is Robbins' mixture ("Statistical Methods Related to the
Law of the Iterated Logarithm", 1970); that it holds for all values between follows from x q/m + (1-x)
(1-q)/(1-m) being at least (q/m)^x ((1-q)/(1-m))^(1-x). Betting: Waudby-Smith, Ramdas, "Estimating Means of
Bounded Random Variables by Betting", JRSS B 86 (2024).

Two sides: the product of both wealths is not expected to grow either, nor is the average of the product and
of each alone. (The product is the better bet where there is much on both sides, one alone where the other has
nothing to tell.) A difference is ruled out where that average exceeds 1/alpha for every pair of means that
are so far apart.
"""

import math
from functools import lru_cache
from typing import NamedTuple

_HALF = 0.5
_LOG_BETA_HALVES = math.log(math.pi)
_STEPS = 32
_EDGE_STEPS = 18
"""Halvings of an interval: a bound is exact to some millionths."""
_MOST_TIMES = 4096.0
"""From how many times the evidence on it is not said any more how much is missing."""


class Arm(NamedTuple):
    """One side: of so many `values` between 0 and 1, `bad` is the sum; 0 <= bad <= values."""

    bad: float
    values: float

    @property
    def share(self) -> float:
        """The mean; 0 where there is nothing."""
        return self.bad / self.values if self.values else 0.0


class Interval(NamedTuple):
    """Bounds of a difference of two shares, from -1 to 1."""

    low: float
    high: float


def is_above(treated: Arm, control: Arm, margin: float, alpha: float) -> bool:
    """Whether the treated side's mean exceeds the control's by more than `margin`, at the level `alpha`.

    Where it does not, this ever says so, of all times that it is asked, with probability `alpha` at most.
    """
    if treated.share - control.share <= margin:
        return False
    return _least_wealth(treated, control, margin) >= -math.log(alpha)


def is_below(treated: Arm, control: Arm, margin: float, alpha: float) -> bool:
    """Whether the treated side's mean exceeds the control's by less than `margin`; as `is_above`."""
    if treated.share - control.share >= margin:
        return False
    return _least_wealth(treated, control, margin) >= -math.log(alpha)


@lru_cache(maxsize=1024)
def difference(treated: Arm, control: Arm, alpha: float) -> Interval:
    """What may be the difference treated - control: each bound fails, ever, with probability `alpha` at
    most."""
    found = treated.share - control.share
    wanted = -math.log(alpha)

    def edge(outside: float) -> float:
        inside = found
        for _ in range(_EDGE_STEPS):
            middle = (inside + outside) / 2
            if _least_wealth(treated, control, middle) >= wanted:
                outside = middle
            else:
                inside = middle
        return outside

    return Interval(edge(-1.0), edge(1.0))


@lru_cache(maxsize=1024)
def times_wanted(treated: Arm, control: Arm, margin: float, alpha: float) -> float | None:
    """About how many times the evidence would decide on which side of `margin` the difference is, 1 or more.

    If the shares stay what they are. None where that is out of reach.
    """
    low, high = 1.0, 1.0
    while not _is_decided(treated, control, margin, alpha, high):
        low, high = high, 2 * high
        if high > _MOST_TIMES:
            return None
    for _ in range(12):
        middle = (low + high) / 2
        if _is_decided(treated, control, margin, alpha, middle):
            high = middle
        else:
            low = middle
    return high


def _is_decided(treated: Arm, control: Arm, margin: float, alpha: float, times: float) -> bool:
    one, other = (Arm(arm.bad * times, max(1.0, arm.values) * times) for arm in (treated, control))
    return _least_wealth(one, other, margin) >= -math.log(alpha)


def _least_wealth(treated: Arm, control: Arm, apart: float) -> float:
    """The logarithm of the least wealth over all pairs of means that are `apart`.

    It is convex in the means (a logarithm of a sum of exponentials of convex functions), so that where its
    slope changes its sign is its least value.
    """
    low, high = max(0.0, -apart), min(1.0, 1.0 - apart)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _wealth(treated, control, middle + apart, middle)[1] > 0:
            high = middle
        else:
            low = middle
    middle = (low + high) / 2
    return _wealth(treated, control, middle + apart, middle)[0]


def _wealth(treated: Arm, control: Arm, mean: float, other: float) -> tuple[float, float]:
    """The logarithm of what a third on each side alone, and a third on both, has come to; and its slope."""
    one, two = _log_wealth(treated, mean), _log_wealth(control, other)
    steep, steeper = _slope(treated, mean), _slope(control, other)
    most = max(one, two, one + two)
    if math.isinf(most):
        return most, steep + steeper
    first, second, both = math.exp(one - most), math.exp(two - most), math.exp(one + two - most)
    total = first + second + both
    slope = ((first + both) * steep if first + both else 0.0) + (
        (second + both) * steeper if second + both else 0.0
    )
    return most + math.log(total / 3), slope


def _slope(arm: Arm, mean: float) -> float:
    good = arm.values - arm.bad
    rising = good / (1 - mean) if mean < 1 else (math.inf if good else 0.0)
    falling = arm.bad / mean if mean > 0 else (math.inf if arm.bad else 0.0)
    if rising == falling == math.inf:
        return 0.0
    return rising - falling


def _log_wealth(arm: Arm, mean: float) -> float:
    good = arm.values - arm.bad
    return _log_mixture(arm) - _times_log(arm.bad, mean) - _times_log(good, 1 - mean)


@lru_cache(maxsize=4096)
def _log_mixture(arm: Arm) -> float:
    good = arm.values - arm.bad
    return (
        math.lgamma(arm.bad + _HALF)
        + math.lgamma(good + _HALF)
        - math.lgamma(arm.values + 1)
        - _LOG_BETA_HALVES
    )


def _times_log(count: float, share: float) -> float:
    if count <= 0:
        return 0.0
    return count * math.log(share) if share > 0 else -math.inf
