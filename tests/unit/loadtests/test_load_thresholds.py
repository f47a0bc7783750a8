"""When a load run has failed: each limit alone must be able to fail it."""

from dataclasses import replace
from typing import Any

import pytest

from loadtests.thresholds import Figures, Limits, broken, summary

GOOD = Figures(
    requests=100,
    failures=0,
    deliveries=50,
    gaps=0,
    duplicates=0,
    reordered=0,
    owed=0,
    resets=0,
    lag_p99_ms=20.0,
)


def test_a_good_run_breaks_nothing() -> None:
    assert broken(GOOD, Limits()) == []


@pytest.mark.parametrize(
    ("worse", "sentence"),
    [
        ({"requests": 0}, "Nothing was measured."),
        ({"deliveries": 0}, "No event was delivered."),
        ({"gaps": 1}, "There were 1 gaps."),
        ({"duplicates": 2}, "There were 2 duplicates."),
        ({"reordered": 1}, "There were 1 events out of order."),
        ({"owed": 3}, "There were 3 events that never came."),
        ({"failures": 1}, "There were 1 failures; 0 are allowed."),
        ({"resets": 1}, "There were 1 resets; 0 are allowed."),
        ({"moves": {"went to the stream": 0}}, "Nobody went to the stream."),
        ({"lag_p99_ms": 1001.0}, "The delivery lag's p99 is 1,001 ms; 1,000 ms are allowed."),
    ],
)
def test_each_figure_alone_fails_a_run(worse: dict[str, Any], sentence: str) -> None:
    assert broken(replace(GOOD, **worse), Limits()) == [sentence]


def test_a_run_without_readers_owes_no_delivery() -> None:
    assert broken(replace(GOOD, deliveries=None, lag_p99_ms=None), Limits()) == []


def test_limits_may_be_wider() -> None:
    figures = replace(GOOD, failures=2, resets=1, lag_p99_ms=3000.0)

    assert broken(figures, Limits(max_failures=2, max_resets=1, max_lag_p99_ms=3000.0)) == []


def test_what_came_about_as_often_as_it_should_breaks_nothing() -> None:
    assert broken(replace(GOOD, moves={"went to the stream": 1}), Limits()) == []


def test_without_readers_the_summary_says_nothing_of_deliveries() -> None:
    figures = replace(GOOD, deliveries=None, lag_p99_ms=None)

    assert summary(figures, Limits()) == "Looked at: 100 rows, 0 resets, 0 failures."
