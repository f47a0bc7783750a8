"""gateway/runtime/outage.py: an outage is a line at its start, one a minute, and one at its end."""

import logging

import pytest

from gateway.runtime.outage import CALM_SECONDS, Outage
from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outage(clock: ManualClock) -> Outage:
    return Outage(logging.getLogger("outage"), "log", now=clock.monotonic, server="db:5432")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, object]]]:
    return [
        (record.levelname, record.__dict__["event"], record.__dict__["fields"])
        for record in caplog.records
        if record.name == "outage"
    ]


def test_the_first_failure_is_a_line_and_those_right_after_are_none(
    outage: Outage, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        outage.failed(error="refused")
        clock.advance(1)

    assert lines(caplog) == [("WARNING", "log_failed", {"server": "db:5432", "error": "refused"})]
    assert outage.lasts


def test_an_outage_that_lasts_is_a_line_a_minute(
    outage: Outage, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(181):
        outage.failed(error="refused")
        clock.advance(1)

    assert [(event, fields.get("outage_seconds")) for _, event, fields in lines(caplog)] == [
        ("log_failed", None),
        ("log_still_failing", 60),
        ("log_still_failing", 120),
        ("log_still_failing", 180),
    ]


def test_its_end_is_a_line_that_says_how_long_it_took(
    outage: Outage, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outage.failed(error="refused")
    clock.advance(12.34)
    outage.failed(error="refused")
    outage.over()
    outage.over()

    assert lines(caplog)[1:] == [
        ("INFO", "log_recovered", {"server": "db:5432", "outage_seconds": 12.3, "failures": 2})
    ]
    assert not outage.lasts


def test_a_success_without_an_outage_says_nothing(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage.over()

    assert lines(caplog) == []


def test_the_next_outage_is_one_of_its_own(
    outage: Outage, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outage.failed(error="refused")
    outage.over()
    clock.advance(CALM_SECONDS)
    outage.failed(error="reset")

    assert [event for _, event, _ in lines(caplog)] == ["log_failed", "log_recovered", "log_failed"]


def test_what_fails_and_succeeds_by_turns_is_told_every_ten_seconds_at_most(
    outage: Outage, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(50):
        outage.failed(error="no room")
        clock.advance(0.25)
        outage.over()
        clock.advance(0.25)

    told = [(event, fields.get("failures")) for _, event, fields in lines(caplog)]
    assert told == [
        *[("log_failed", None), ("log_recovered", 1)],
        *[("log_failed", None), ("log_recovered", 20)],
        *[("log_failed", None), ("log_recovered", 20)],
    ]


def test_an_outage_that_follows_a_short_one_is_told_once_it_has_lasted(
    outage: Outage, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outage.failed(error="refused")
    outage.over()
    for _ in range(15):
        clock.advance(1)
        outage.failed(error="refused")
    assert outage.lasts
    outage.over()

    told = [(event, fields.get("outage_seconds")) for _, event, fields in lines(caplog)]
    assert told == [("log_failed", None), ("log_recovered", 0), ("log_failed", None), ("log_recovered", 14)]


def test_an_outage_that_several_share_is_over_once_all_of_them_succeeded(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outage.failed(by="poller", error="refused")
    outage.failed(by="leases", error="refused")
    outage.over(by="somebody else")
    outage.over(by="leases")
    assert outage.lasts
    outage.over(by="poller")

    assert [event for _, event, _ in lines(caplog)] == ["log_failed", "log_recovered"]


def test_its_owner_ends_it_for_all(outage: Outage) -> None:
    outage.failed(by="poller", error="refused")
    outage.failed(error="refused")
    outage.over()

    assert not outage.lasts


def test_who_no_longer_tries_does_not_keep_it_from_being_over(outage: Outage) -> None:
    outage.failed(by="poller", error="refused")
    outage.failed(by="leases", error="refused")
    outage.forget("poller")
    assert outage.lasts
    outage.over(by="leases")

    assert not outage.lasts
