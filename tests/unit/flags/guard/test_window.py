"""The guard's five metrics, from what it is told."""

import pytest

from flags.decide.guard_settings import GuardSettings
from flags.guard.window import GuardWindow, Metric
from flags.parity.report import Tally


def test_each_metric_is_made_of_its_own_samples() -> None:
    window = GuardWindow(60.0)
    window.compared(Tally(agreed=3, differed=1, noisy=1, lags_ms=(100.0,)), 1.0)
    window.served(9, 1, 1.0)
    window.pushed(300.0, 1.0)
    window.began(True, 1.0)
    window.began(False, 1.0)
    window.reported(False, 1.0)
    window.reported(True, 1.0)

    figures = window.figures(0.0, 2.0)

    found = {metric.value: (figure.value, figure.samples) for metric, figure in figures.by_metric.items()}
    assert found.pop("pushLagP99Ms") == (pytest.approx(100, rel=0.05), 2)
    assert found == {
        "consistency": (0.75, 4),
        "errorRate": (0.1, 10),
        "firstEventSuccess": (0.5, 2),
        "fallbackRate": (0.5, 2),
    }
    assert figures.by_metric[Metric.CONSISTENCY].without_noise == 1.0
    assert figures.push_lag_p50_ms == pytest.approx(100, rel=0.05)


def test_without_samples_a_metric_has_no_value() -> None:
    figures = GuardWindow(60.0).figures(0.0, 1.0)

    assert all(figure.value is None and not figure.samples for figure in figures.by_metric.values())
    assert figures.push_lag_p50_ms is None


def test_differences_that_are_nothing_but_noise_prove_nothing() -> None:
    window = GuardWindow(60.0)
    window.compared(Tally(differed=5, noisy=5), 1.0)

    figure = window.figures(0.0, 1.0).by_metric[Metric.CONSISTENCY]

    assert (figure.value, figure.without_noise) == (0.0, None)


def test_metrics_are_named_as_their_thresholds_are_on_the_wire() -> None:
    settings = GuardSettings().model_dump(by_alias=True)

    assert {metric.value for metric in Metric} <= settings.keys()
