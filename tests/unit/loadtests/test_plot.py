"""The benchmarks' charts and sentences: where a point lies, and what shape is claimed of a curve."""

from xml.etree import ElementTree

import pytest

from loadtests.plot import BEND, Line, axis, line_chart, shape, short, slope

SVG = "{http://www.w3.org/2000/svg}"


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


def test_an_axis_reaches_from_a_round_number_below_to_one_above() -> None:
    made = axis([250.0, 1_500.0], 0, 100)

    assert made.ticks == [200.0, 500.0, 1_000.0, 2_000.0]
    assert made.at(200.0) == pytest.approx(0)
    assert made.at(2_000.0) == pytest.approx(100)
    assert made.at(632.4555) == pytest.approx(50)


def test_a_long_axis_marks_only_powers_of_ten_between_its_ends() -> None:
    assert axis([2.0, 15_000.0], 0, 300).ticks == [2.0, 10.0, 100.0, 1_000.0, 10_000.0, 20_000.0]


@pytest.mark.parametrize("value", [0.3, 1.0, 100.0, 1_000.0, 7_000.0])
def test_an_axis_of_one_value_has_a_length_and_holds_it(value: float) -> None:
    made = axis([value], 0, 10)

    assert 0 <= made.at(value) <= 10
    assert made.ticks[0] < made.ticks[-1]


def test_zero_has_no_place_on_an_axis() -> None:
    with pytest.raises(ValueError, match="0 or less"):
        axis([0.0, 1.0], 0, 1)


def test_a_chart_is_svg_with_a_mark_for_each_point_and_a_line_for_each_name() -> None:
    lines = [Line("total", power(1)), Line("user & kernel", power(0.5))]

    root = ElementTree.fromstring(line_chart("Cost <of> it", "streams", "µs", lines))

    assert root.tag == f"{SVG}svg"
    assert len(root.findall(f"{SVG}circle")) == 8
    assert len(root.findall(f"{SVG}polyline")) == 2
    words = {text.text for text in root.findall(f"{SVG}text")}
    assert {"Cost <of> it", "streams", "µs", "total", "user & kernel"} <= words


def test_higher_values_lie_higher() -> None:
    root = ElementTree.fromstring(line_chart("t", "x", "y", [Line("a", power(1))]))

    heights = [float(circle.attrib["cy"]) for circle in root.findall(f"{SVG}circle")]
    assert heights == sorted(heights, reverse=True)


def test_a_chart_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        line_chart("t", "x", "y", [Line("a", [])])


def test_ticks_are_short() -> None:
    assert [short(0.01), short(1.0), short(16_000.0)] == ["0.01", "1", "16,000"]
