"""What one node sees of a component, from what it is told."""

import pytest

from flags.guard.callers import Side
from flags.guard.metrics import Figures, Metric, figures
from flags.guard.who import Who
from flags.guard.window import GuardWindow
from flags.parity.report import Tally

ANN, BEN = Who("s:ann"), Who("s:ben")


def shown(window: GuardWindow, start: float = 0.0, now: float = 2.0, **how: bool) -> Figures:
    given = {"is_streaming": True, "trusts_timestamps": False} | how
    return figures(window.tally(start, now), **given)


def test_each_metric_is_made_of_its_own_samples() -> None:
    window = GuardWindow(60.0)
    window.compared(Tally(agreed=3, differed=1, noisy=1, lags_ms=(100.0,)), 1.0)
    window.pushed(300.0, 5000.0, 2, 1.0)
    for who in (ANN, BEN):
        window.callers.opened(who, Side.TREATED, 1.0)
    window.callers.acknowledged(ANN, 1.0)
    window.callers.mute(BEN, 1.0)
    window.callers.fell_back(BEN, 1.0)
    window.polled(Who("s:eve"), Side.TREATED, 1.0, failed=True)

    found = shown(window)

    values = {metric.value: (figure.value, figure.samples) for metric, figure in found.by_metric.items()}
    assert values.pop("pushLagP99Ms") == (pytest.approx(300, rel=0.05), 1)
    assert values == {
        "consistency": (0.75, 4),
        "errorRate": (pytest.approx(1 / 3), 3),
        "firstEventSuccess": (0.5, 2),
        "fallbackRate": (0.5, 2),
    }
    assert found.by_metric[Metric.CONSISTENCY].without_noise == 1.0
    assert found.push_lag_p50_ms == pytest.approx(300, rel=0.05)
    assert found.source_lag_p99_ms == pytest.approx(5000, rel=0.05)


def test_a_caller_who_asks_a_thousand_times_is_one() -> None:
    window = GuardWindow(60.0)
    for _ in range(1000):
        window.polled(ANN, Side.TREATED, 1.0, failed=True)

    assert shown(window).by_metric[Metric.ERROR_RATE].samples == 1


def test_an_open_stream_that_was_acknowledged_is_a_success_in_every_window() -> None:
    window = GuardWindow(60.0)
    window.callers.opened(ANN, Side.TREATED, 1.0)
    window.callers.acknowledged(ANN, 1.0)

    found = shown(window, start=3500.0, now=3600.0).by_metric

    assert (found[Metric.FIRST_EVENT].value, found[Metric.FIRST_EVENT].samples) == (1.0, 1)
    assert (found[Metric.ERROR_RATE].value, found[Metric.ERROR_RATE].samples) == (0.0, 1)


def test_a_stream_that_was_reset_is_no_success_until_a_window_later() -> None:
    window = GuardWindow(60.0)
    window.callers.opened(ANN, Side.TREATED, 1.0)
    window.callers.acknowledged(ANN, 1.0)
    window.callers.lost(ANN, 100.0)

    assert shown(window, start=90.0, now=150.0).by_metric[Metric.FIRST_EVENT].samples == 0
    assert shown(window, start=150.0, now=170.0).by_metric[Metric.FIRST_EVENT].samples == 1


def test_who_polls_and_should_stream_has_not_begun_to() -> None:
    window = GuardWindow(60.0)
    window.polled(ANN, Side.TREATED, 1.0, failed=False)

    assert shown(window).by_metric[Metric.FIRST_EVENT].samples == 0


def test_where_nobody_streams_all_callers_count() -> None:
    window = GuardWindow(60.0)
    window.polled(ANN, Side.POLLING, 1.0, failed=True)

    assert shown(window, is_streaming=False).by_metric[Metric.ERROR_RATE].value == 1.0
    assert shown(window, is_streaming=True).by_metric[Metric.ERROR_RATE].value is None


def test_pollers_see_a_change_with_their_next_answer() -> None:
    window = GuardWindow(60.0, fresh_ms=1000)
    window.polled(ANN, Side.CONTROL, 1.0, failed=False)
    window.changed(2.0)
    window.changed(5.5)
    window.polled(ANN, Side.CONTROL, 6.0, failed=False)
    window.polled(ANN, Side.CONTROL, 7.0, failed=False)

    (found,) = [one for one in window.tally(0.0, 7.0).freshness.values() if one.seen_polled]

    assert (found.late_polled, found.seen_polled) == (1, 2)


def test_pollers_see_late_changes_late_at_any_rate_of_changes() -> None:
    window = GuardWindow(60.0, fresh_ms=1000)
    for tick in range(20 * 500):
        now = tick / 500
        window.changed(now)
        if tick and tick % 2500 == 0:
            window.polled(ANN, Side.CONTROL, now, failed=False)

    found = [one for one in window.tally(0.0, 20.0).freshness.values() if one.seen_polled]
    late, seen = sum(one.late_polled for one in found), sum(one.seen_polled for one in found)
    assert seen == pytest.approx(10 * 500, rel=0.02)
    assert late / seen == pytest.approx(0.8, abs=0.02)


def test_what_was_pushed_late_counts_once_for_each_stream() -> None:
    window = GuardWindow(60.0, fresh_ms=1000)
    window.pushed(1500.0, None, 3, 1.0)
    window.pushed(500.0, None, 3, 1.0)

    (found,) = window.tally(0.0, 1.5).freshness.values()

    assert (found.late, found.seen) == (3, 6)


def test_what_was_before_the_start_is_not_in_a_tally() -> None:
    window = GuardWindow(60.0)
    window.polled(ANN, Side.TREATED, 1.0, failed=True)
    window.pushed(10.0, None, 1, 1.0)

    tally = window.tally(5.0, 10.0)

    assert (tally.callers[Side.TREATED], tally.whole.lags.total, tally.freshness) == ({}, 0, {})


def test_without_samples_a_metric_has_no_value() -> None:
    found = shown(GuardWindow(60.0))

    assert all(figure.value is None and not figure.samples for figure in found.by_metric.values())
    assert (found.push_lag_p50_ms, found.source_lag_p99_ms) == (None, None)


def test_differences_that_are_nothing_but_noise_prove_nothing() -> None:
    window = GuardWindow(60.0)
    window.compared(Tally(differed=5, noisy=5), 1.0)

    figure = shown(window).by_metric[Metric.CONSISTENCY]

    assert (figure.value, figure.without_noise) == (0.0, None)


@pytest.mark.parametrize("streams", [1, 2])
def test_a_stream_whose_client_fell_back_is_no_success_for_as_long_as_it_is_held_open(streams: int) -> None:
    """All callers at once: as a spell it is over only once they fare well again."""
    window = GuardWindow(60.0)
    for _ in range(streams):
        window.callers.opened(ANN, Side.TREATED, 1.0)
        window.callers.acknowledged(ANN, 1.0)
    for _ in range(streams):
        window.callers.fell_back(ANN, 2.0, is_open=True)
    assert shown(window, now=12.0).by_metric[Metric.FALLBACK_RATE].without_noise == 1.0
    window.callers.opened(ANN, Side.TREATED, 13.0)
    window.callers.acknowledged(ANN, 13.0)
    assert shown(window, now=23.0).by_metric[Metric.FALLBACK_RATE].without_noise == 0.0
