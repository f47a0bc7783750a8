"""adapters/postgres/troubles.py: which failures of the log's tasks are lines, and which others tell of."""

import pytest

from adapters.postgres.troubles import Troubles
from gateway.core.errors import LogError
from tests.support.clock import ManualClock

TASK = "log_listener"


def refused() -> LogError:
    error = LogError("refused")
    error.is_refusal = True
    return error


def out_of_reach() -> LogError:
    return LogError("out of reach")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def troubles(clock: ManualClock) -> Troubles:
    return Troubles(clock.monotonic)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["event"] for record in caplog.records]


def test_a_server_that_is_gone_is_no_line_of_a_task(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.looked()
    for _ in range(50):
        troubles.failed(TASK, out_of_reach())
    troubles.looked()
    troubles.over(TASK)
    assert events(caplog) == []


def test_a_task_that_fails_on_while_the_server_is_there_is_a_line_a_minute_and_one_at_its_end(
    troubles: Troubles, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(130):
        troubles.failed(TASK, out_of_reach())
        troubles.looked()
        clock.advance(1)
    troubles.over(TASK)
    troubles.over(TASK)
    assert events(caplog) == [
        "log_listener_failed",
        "log_listener_still_failing",
        "log_listener_still_failing",
        "log_listener_recovered",
    ]


def test_what_the_server_refuses_is_a_line_at_once(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.failed("log_retention", refused())
    assert events(caplog) == ["log_retention_failed"]
    assert caplog.records[0].__dict__["fields"] == {"error": "refused"}


def test_a_failure_after_one_that_was_over_begins_anew(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.failed(TASK, out_of_reach())
    troubles.over(TASK)
    troubles.looked()
    troubles.failed(TASK, out_of_reach())
    assert events(caplog) == []
