"""Intervals for the difference of two shares keep what they promise, whatever was counted."""

from hypothesis import assume, given
from hypothesis import strategies as st

from flags.guard.confidence import Arm, difference, is_above, is_below, times_wanted

NEARLY = 1e-4
ALPHAS = st.floats(0.0001, 0.4)
MARGINS = st.floats(0.001, 0.5)


@st.composite
def arms(draw: st.DrawFn) -> Arm:
    values = draw(st.integers(1, 5000))
    return Arm(values * draw(st.floats(0, 1)), float(values))


@given(arms(), arms(), ALPHAS)
def test_the_interval_holds_the_estimate(treated: Arm, control: Arm, alpha: float) -> None:
    low, high = difference(treated, control, alpha)

    assert -1 <= low <= treated.share - control.share <= high <= 1


@given(arms(), arms(), ALPHAS, ALPHAS)
def test_to_be_more_certain_takes_a_wider_interval(
    treated: Arm, control: Arm, one: float, other: float
) -> None:
    sure, unsure = (difference(treated, control, alpha) for alpha in sorted((one, other)))

    assert sure.low <= unsure.low + NEARLY
    assert sure.high >= unsure.high - NEARLY


@given(arms(), arms(), ALPHAS)
def test_swapping_the_sides_mirrors_the_interval(treated: Arm, control: Arm, alpha: float) -> None:
    one, other = difference(treated, control, alpha), difference(control, treated, alpha)

    assert abs(one.low + other.high) < NEARLY
    assert abs(one.high + other.low) < NEARLY


@given(arms(), arms(), ALPHAS, st.floats(2, 50))
def test_more_evidence_of_the_same_narrows_the_interval(
    treated: Arm, control: Arm, alpha: float, times: float
) -> None:
    few = difference(treated, control, alpha)
    many = difference(
        Arm(treated.bad * times, treated.values * times),
        Arm(control.bad * times, control.values * times),
        alpha,
    )

    assert many.high - many.low <= few.high - few.low + NEARLY


@given(arms(), arms(), MARGINS, ALPHAS)
def test_a_difference_is_past_a_margin_where_the_interval_is(
    treated: Arm, control: Arm, margin: float, alpha: float
) -> None:
    low, high = difference(treated, control, alpha)
    assume(min(abs(low - margin), abs(high - margin)) > NEARLY)

    assert is_above(treated, control, margin, alpha) is (low > margin)
    assert is_below(treated, control, margin, alpha) is (high < margin)


@given(arms(), arms(), MARGINS, ALPHAS)
def test_so_many_times_the_evidence_decides(treated: Arm, control: Arm, margin: float, alpha: float) -> None:
    times = times_wanted(treated, control, margin, alpha)
    assume(times is not None)
    assert times is not None
    assert times >= 1

    one, other = (Arm(arm.bad * times * 1.01, arm.values * times * 1.01) for arm in (treated, control))
    assert is_above(one, other, margin, alpha) or is_below(one, other, margin, alpha)
