"""gateway/runtime/refusals.py: every refused request is counted, and a flood of them is a line a second."""

import logging
from typing import Any

import pytest

from gateway.runtime.refusals import Refusals
from tests.support.scheduler import ManualScheduler


@pytest.fixture
def refusals(scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture) -> Refusals:
    caplog.set_level(logging.INFO, "gateway")
    return Refusals(lambda: scheduler)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [{"event": record.getMessage(), **record.__dict__["fields"]} for record in caplog.records]


def test_a_single_refusal_is_told_at_once(
    refusals: Refusals, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    refusals.add("bad-parameter", path="/a")
    scheduler.run_for(60.0)

    assert lines(caplog) == [{"event": "request_refused", "problem": "bad-parameter", "path": "/a"}]
    assert refusals.counts == {"bad-parameter": 1}


def test_a_flood_is_a_line_a_second_that_says_how_many_were_left_out(
    refusals: Refusals, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        refusals.add("bad-parameter", number=number)
        scheduler.run_for(0.1)
    scheduler.run_for(60.0)

    told = lines(caplog)
    assert len(told) == 4
    assert sum(1 + line.get("left_out", 0) for line in told) == refusals.counts["bad-parameter"] == 30
    assert (told[0]["number"], told[-1]["number"]) == (0, 29)


def test_after_a_quiet_second_the_next_is_told_at_once(
    refusals: Refusals, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    refusals.add("bad-parameter")
    scheduler.run_for(1.0)
    refusals.add("bad-parameter")

    assert len(lines(caplog)) == 2


def test_one_problem_does_not_hide_another(
    refusals: Refusals, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        refusals.add("bad-parameter")
    refusals.add("log-unavailable", level=logging.WARNING)

    assert [line["problem"] for line in lines(caplog)] == ["bad-parameter", "log-unavailable"]
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING]


def test_a_defect_comes_with_its_traceback(
    refusals: Refusals, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        refusals.add("internal", level=logging.ERROR, error=ValueError(f"failure {number}"))
    scheduler.run_for(60.0)

    assert [(line["event"], str(line["error"])) for line in lines(caplog)] == [
        ("request_failed", "failure 0"),
        ("request_failed", "failure 4"),
    ]
    assert all(record.exc_info for record in caplog.records)
    assert lines(caplog)[1]["left_out"] == 3
