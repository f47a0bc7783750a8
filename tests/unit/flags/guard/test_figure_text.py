"""The guard's figures as people read them."""

import pytest

from flags.guard.figure_text import limit, measured
from flags.guard.metrics import Metric


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        (Metric.CONSISTENCY, 1.0, "100 %"),
        (Metric.CONSISTENCY, 0.99999, "99.99 %"),
        (Metric.CONSISTENCY, 0.98999, "98.99 %"),
        (Metric.CONSISTENCY, 0.29, "29 %"),
        (Metric.FIRST_EVENT, 0.949999, "94.99 %"),
        (Metric.ERROR_RATE, 0.0, "0 %"),
        (Metric.ERROR_RATE, 1e-7, "0.01 %"),
        (Metric.ERROR_RATE, 0.07, "7 %"),
        (Metric.FALLBACK_RATE, 0.050001, "5.01 %"),
        (Metric.PUSH_LAG, 701.2, "702 ms"),
        (Metric.PUSH_LAG, 5000.0, "5000 ms"),
    ],
)
def test_a_figure_never_looks_better_than_it_is(metric: Metric, value: float, text: str) -> None:
    assert measured(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        (Metric.CONSISTENCY, 0.999, "99.9 %"),
        (Metric.CONSISTENCY, 0.99995, "99.995 %"),
        (Metric.ERROR_RATE, 0.07, "7 %"),
        (Metric.PUSH_LAG, 1000, "1000 ms"),
        (Metric.PUSH_LAG, 0.5, "0.5 ms"),
        (Metric.PUSH_LAG, 3_600_000, "3600000 ms"),
    ],
)
def test_what_it_is_held_to_is_shown_as_it_was_chosen(metric: Metric, value: float, text: str) -> None:
    assert limit(metric, value) == text
