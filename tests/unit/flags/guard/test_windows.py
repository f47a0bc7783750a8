"""Figures over the last so many seconds."""

import pytest

from flags.guard.windows import Durations, Share, SlidingWindow


def goods(window: SlidingWindow[Share], start: float, now: float) -> int:
    return sum(slot.good for slot in window.since(start, now))


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = SlidingWindow(60.0, Share)
    for second in range(100):
        window.current(float(second)).add(1, 0)

    assert goods(window, 0.0, 99.0) == 60
    assert goods(window, 0.0, 129.0) == 30
    assert goods(window, 0.0, 1000.0) == 0


def test_a_start_leaves_out_what_came_before_it() -> None:
    window = SlidingWindow(60.0, Share)
    for second in range(60):
        window.current(float(second)).add(1, 0)

    assert goods(window, 50.0, 59.0) == 10
    assert goods(window, 49.5, 59.0) == 10


def test_a_time_before_the_latest_counts_as_the_latest() -> None:
    window = SlidingWindow(60.0, Share)
    window.current(100.0).add(1, 0)
    window.current(10.0).add(1, 0)

    assert goods(window, 90.0, 50.0) == 2


def test_a_window_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        SlidingWindow(0.0, Share)


def test_quantiles_are_those_of_all_durations_to_five_percent() -> None:
    durations, others = Durations(), Durations()
    for number in range(1, 1001):
        (durations if number % 2 else others).add(float(number))
    durations.merge(others)

    assert durations.total == 1000
    assert durations.quantile(0.5) == pytest.approx(500, rel=0.06)
    assert durations.quantile(0.99) == pytest.approx(990, rel=0.06)


def test_no_durations_have_no_quantile_and_odd_ones_are_counted_at_the_bounds() -> None:
    durations = Durations()
    assert durations.quantile(0.5) is None

    for milliseconds in (-5.0, 0.0, 1e12):
        durations.add(milliseconds)

    assert durations.quantile(0.0) == pytest.approx(0.1, rel=0.05)
    assert durations.quantile(1.0) == pytest.approx(1e7, rel=0.05)


@pytest.mark.parametrize("bins", [None, [[0]], [[0, -1]], [[10_000, 1]], [[0.5, 1]], [[0, 1], [0, 1]]])
def test_bins_that_are_none_are_refused(bins: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        Durations.of(bins)
