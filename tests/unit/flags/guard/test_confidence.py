"""Bounds of a difference of two shares, at figures that somebody can check by hand."""

import math
import random

import pytest

from flags.guard.confidence import Arm, Interval, difference, is_above, is_below, times_wanted

ALPHA = 0.05
ROWS, LOOKS = 40, 120
"""Of looks at evidence that grows, each after one caller more."""


def test_the_share_of_nothing_is_none() -> None:
    assert Arm(0.0, 0.0).share == 0


def test_without_evidence_everything_is_possible() -> None:
    assert difference(Arm(0.0, 0.0), Arm(0.0, 0.0), ALPHA) == Interval(-1.0, 1.0)


def test_one_bad_caller_beside_many_good_ones_proves_nothing() -> None:
    assert not is_above(Arm(1.0, 1.0), Arm(0.0, 10_000.0), 0.04, ALPHA)


def test_two_sides_that_fare_alike_are_soon_known_to_be_no_further_apart_than_a_margin() -> None:
    one, other = Arm(5.0, 500.0), Arm(40.0, 4000.0)

    assert is_below(one, other, 0.04, ALPHA)
    assert not is_above(one, other, 0.04, ALPHA)


def test_a_side_that_fares_much_worse_is_known_to_be_so() -> None:
    assert is_above(Arm(60.0, 200.0), Arm(40.0, 4000.0), 0.04, ALPHA)


def test_one_side_alone_is_robbins_mixture() -> None:
    # Nothing bad among n values: the mean is at most m where (1 - m)^n B(1/2, 1/2) is alpha B(1/2, n + 1/2).
    n = 100
    mixture = math.lgamma(0.5) + math.lgamma(n + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
    # The other side says nothing, so that two thirds of the wealth are this one's, and a third is 1.
    least = next(
        m / 1000
        for m in range(1000)
        if 2 / 3 * math.exp(mixture - n * math.log1p(-m / 1000)) + 1 / 3 >= 1 / ALPHA
    )

    # With a control of unknown mean the treated side's can be no more than that above it.
    assert difference(Arm(0.0, float(n)), Arm(0.0, 0.0), ALPHA).high == pytest.approx(least, abs=0.0015)


@pytest.mark.parametrize(
    ("treated", "control"), [(Arm(4.0, 100.0), Arm(40.0, 4000.0)), (Arm(0, 0), Arm(1, 9))]
)
def test_so_many_times_the_evidence_decides_and_a_little_less_does_not(treated: Arm, control: Arm) -> None:
    times = times_wanted(treated, control, 0.04, ALPHA)

    assert times is not None
    for factor, decided in ((1.01, True), (0.98, False)):
        one, other = (
            Arm(arm.bad * times * factor, max(1.0, arm.values) * times * factor) for arm in (treated, control)
        )
        assert (is_above(one, other, 0.04, ALPHA) or is_below(one, other, 0.04, ALPHA)) is decided


def test_where_the_shares_are_the_margin_apart_no_evidence_decides() -> None:
    assert times_wanted(Arm(50.0, 1000.0), Arm(10.0, 1000.0), 0.04, ALPHA) is None


def _ever(share: float, other: float, margin: float, alpha: float, draw: random.Random) -> tuple[bool, bool]:
    """Whether somebody who looks after each caller ever finds the difference above, or below, the margin."""
    treated = control = Arm(0.0, 0.0)
    above = below = False
    for _ in range(LOOKS):
        treated = Arm(treated.bad + (draw.random() < share), treated.values + 1)
        for _ in range(2):
            control = Arm(control.bad + (draw.random() < other), control.values + 1)
        above = above or is_above(treated, control, margin, alpha)
        below = below or is_below(treated, control, margin, alpha)
    return above, below


def test_looking_after_each_caller_is_seldom_wrong() -> None:
    # The hardest case: the true difference is the margin itself, so that both answers are wrong.
    draw, alpha = random.Random(17), 0.2
    found = [_ever(0.3, 0.1, 0.2, alpha, draw) for _ in range(ROWS)]

    assert sum(above for above, _ in found) <= alpha * len(found)
    assert sum(below for _, below in found) <= alpha * len(found)


def test_bounds_for_a_single_look_are_wrong_far_more_often_where_one_looks_each_time() -> None:
    # The same row of looks with the usual bounds of one look, which the test above would not let pass.
    draw, wrong = random.Random(17), 0
    for _ in range(ROWS):
        bad = other = 0
        for seen in range(1, LOOKS + 1):
            bad += draw.random() < 0.3
            other += (draw.random() < 0.1) + (draw.random() < 0.1)
            one, two = bad / seen, other / (2 * seen)
            spread = (one * (1 - one) / seen + two * (1 - two) / (2 * seen)) ** 0.5
            if seen >= 10 and one - two - 0.2 > 0.8416 * spread:
                wrong += 1
                break
    assert wrong > 0.2 * ROWS
