"""What is said of work that nobody expected to fail."""

import logging

import pytest

from gateway.runtime.failures import LINE_SECONDS, WARNING_SECONDS, Failures
from tests.support.clock import ManualClock


@pytest.fixture
def failures(clock: ManualClock) -> Failures:
    return Failures(clock.monotonic)


def fail(failures: Failures, work: str) -> None:
    try:
        raise MemoryError("no room for it")
    except MemoryError as error:
        failures.report(work, error)


def fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    assert {(record.levelno, record.getMessage()) for record in caplog.records} == {
        (logging.ERROR, "delivery_failed")
    }
    return [record.fields for record in caplog.records]  # type: ignore[attr-defined]


def test_a_failure_is_counted_by_its_work_and_logged_with_its_traceback(
    failures: Failures, caplog: pytest.LogCaptureFixture
) -> None:
    fail(failures, "flush")
    assert failures.counts == {"flush": 1}
    (line,) = fields(caplog)
    assert (line["work"], line["failures"]) == ("flush", 1)
    assert "MemoryError: no room for it" in str(line["exception"])
    assert "in fail" in str(line["exception"])


def test_a_fault_that_meets_thousands_is_one_line_in_ten_seconds_for_each_kind_of_work(
    failures: Failures, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        fail(failures, "catch_up")
    fail(failures, "flush")
    clock.advance(LINE_SECONDS)
    fail(failures, "catch_up")
    assert [(line["work"], line["failures"]) for line in fields(caplog)] == [
        ("catch_up", 1),
        ("flush", 1),
        ("catch_up", 1001),
    ]


def test_whoever_looks_is_warned_for_a_minute(failures: Failures, clock: ManualClock) -> None:
    assert failures.warnings() == []
    fail(failures, "flush")
    clock.advance(WARNING_SECONDS)
    (warning,) = failures.warnings()
    assert "flush: MemoryError" in warning
    clock.advance(0.1)
    assert failures.warnings() == []
