"""The benchmarks' sentences: what shape is claimed of a curve."""

import pytest

from loadtests.plot import BEND, shape, slope


def power(exponent: float) -> list[tuple[float, float]]:
    return [(float(x), 3.0 * x**exponent) for x in (1, 10, 100, 1_000)]


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_power_is_its_exponent(exponent: float) -> None:
    assert slope(power(exponent)) == pytest.approx(exponent)


def test_one_x_alone_has_no_slope() -> None:
    with pytest.raises(ValueError, match="two different x"):
        slope([(5.0, 1.0), (5.0, 2.0)])


@pytest.mark.parametrize(
    ("exponent", "words"),
    [
        (-0.5, "falls with"),
        (0.0, "hardly depends on"),
        (0.5, "grows slower than"),
        (1.0, "is proportional to"),
        (2.0, "grows faster than"),
    ],
)
def test_the_sentence_names_the_shape(exponent: float, words: str) -> None:
    assert shape("CPU", "streams", power(exponent)).startswith(f"CPU {words} the streams: ")


def test_a_third_more_is_not_called_flat_however_far_the_cause_went() -> None:
    sentence = shape("CPU", "bytes", [(100.0, 15.0), (60_000.0, 20.0)])

    assert (
        sentence
        == "CPU grows slower than the bytes: 1.33 times as much at 600 times the bytes (exponent 0.04)."
    )


def test_the_sentence_says_how_many_times_more() -> None:
    assert "100.00 times as much at 100 times the streams" in shape("CPU", "streams", power(1)[:3])


def test_a_curve_that_bends_at_its_end_is_not_called_by_its_average_alone() -> None:
    sentence = shape("CPU", "bytes", [(1.0, 1.0), (10.0, 1.0), (100.0, 1.0), (1_000.0, 10.0)])

    assert "from 100 to 1,000 alone the exponent is 1.00" in sentence


def test_a_straight_curve_has_no_bend() -> None:
    assert BEND > 0
    assert "alone" not in shape("CPU", "bytes", power(0.5))
