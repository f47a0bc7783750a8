"""What clients say, and fail to say, as evidence for the guard."""

from typing import Any

import pytest

from flags.decide.modes import Mode
from flags.guard.telemetry import ClientReport, Fallback, Receipt, Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.guard.window import GuardWindow, Metric


class Clients:
    """Telemetry on the component `orders`."""

    def __init__(self, each: Rate | None = None, **settings: Any) -> None:
        self.window = GuardWindow(600.0)
        each = each or Rate(1000, 1000)
        limits = ClientLimits(each, Rate(1000, 100_000), 100, 0.0)
        self.telemetry = Telemetry({"orders": self.window}, limits, **settings)

    def report(self, at: float, **members: Any) -> tuple[Receipt, float]:
        given: dict[str, Any] = {
            "client": "192.0.2.1",
            "client_id": "s1",
            "component": "orders",
            "mode": Mode.STREAMING,
            "client_version": "web/1",
        }
        return self.telemetry.report(ClientReport(**(given | members)), at)

    def figure(self, metric: Metric) -> tuple[float | None, int]:
        figure = self.window.figures(0.0, 500.0).by_metric[metric]
        return figure.value, figure.samples

    @property
    def first_events(self) -> tuple[float | None, int]:
        return self.figure(Metric.FIRST_EVENT)

    @property
    def fallbacks(self) -> tuple[float | None, int]:
        return self.figure(Metric.FALLBACK_RATE)


def test_a_stream_that_is_acknowledged_in_time_succeeded() -> None:
    clients = Clients()
    clients.telemetry.opened("s1", ["orders"], 1.0)

    assert clients.report(2.0, first_event_ms=80.0) == (Receipt.TAKEN, 0.0)

    assert clients.telemetry.expire(100.0) == 0
    assert clients.first_events == (1.0, 1)
    assert clients.fallbacks == (0.0, 1)


def test_a_stream_that_is_never_acknowledged_failed() -> None:
    clients = Clients(deadline_seconds=15.0)
    clients.telemetry.opened("s1", ["orders"], 1.0)
    clients.telemetry.opened("s2", ["orders"], 10.0)

    assert clients.telemetry.expire(15.9) == 0
    assert clients.telemetry.expire(16.0) == 1

    assert clients.first_events == (0.0, 1)


def test_an_acknowledgement_after_the_deadline_changes_nothing() -> None:
    clients = Clients()
    clients.telemetry.opened("s1", ["orders"], 1.0)
    clients.telemetry.expire(20.0)

    clients.report(21.0, first_event_ms=20_000.0)

    assert clients.first_events == (0.0, 1)
    assert clients.telemetry.unmatched == 1


def test_a_stream_that_is_closed_unacknowledged_failed_unless_it_was_brief() -> None:
    clients = Clients(brief_seconds=2.0)
    clients.telemetry.opened("brief", ["orders"], 1.0)
    clients.telemetry.opened("long", ["orders"], 1.0)

    clients.telemetry.closed("brief", 2.0)
    clients.telemetry.closed("long", 9.0)
    clients.telemetry.closed("never-opened", 9.0)

    assert clients.first_events == (0.0, 1)


@pytest.mark.parametrize("fallback", list(Fallback))
def test_a_client_that_fell_back_counts_whatever_its_mode_is_now(fallback: Fallback) -> None:
    clients = Clients()
    clients.telemetry.opened("s1", ["orders"], 1.0)

    clients.report(3.0, mode=Mode.POLLING, fallback=fallback)

    assert clients.fallbacks == (1.0, 1)
    assert clients.first_events == (0.0, 1)


def test_a_client_that_polls_by_choice_says_nothing_of_streaming() -> None:
    clients = Clients()

    clients.report(1.0, mode=Mode.POLLING)

    assert clients.fallbacks == (None, 0)
    assert clients.telemetry.summary("orders").reports == {Mode.POLLING: 1}


def test_first_events_of_streams_that_were_never_opened_count_for_nothing() -> None:
    clients = Clients()

    for number in range(50):
        clients.report(1.0, client_id=f"made-up-{number}", first_event_ms=1.0)

    assert clients.first_events == (None, 0)
    assert clients.telemetry.unmatched == 50


def test_one_stream_is_acknowledged_once() -> None:
    clients = Clients()
    clients.telemetry.opened("s1", ["orders"], 1.0)

    for _ in range(10):
        clients.report(2.0, first_event_ms=1.0)

    assert clients.first_events == (1.0, 1)


def test_a_stream_counts_for_each_component_that_is_guarded() -> None:
    clients = Clients()
    clients.telemetry.opened("s1", ["orders", "unguarded"], 1.0)

    clients.telemetry.expire(100.0)

    assert clients.first_events == (0.0, 1)


def test_a_component_that_nobody_guards_is_refused_and_takes_no_memory() -> None:
    clients = Clients()

    assert clients.report(1.0, component="made-up") == (Receipt.UNKNOWN_COMPONENT, 0.0)
    assert clients.telemetry.summary("made-up").reports == {}


def test_a_flood_is_limited_and_counted() -> None:
    clients = Clients(each=Rate(0.5, 2))

    receipts = [clients.report(1.0, fallback=Fallback.ERROR) for _ in range(100)]

    assert [receipt for receipt, _ in receipts].count(Receipt.TAKEN) == 2
    assert receipts[-1] == (Receipt.LIMITED, 2.0)
    assert clients.telemetry.limited == 98
    assert clients.fallbacks == (1.0, 2)


def test_no_more_streams_are_followed_than_there_is_room_for() -> None:
    clients = Clients(most_streams=3)
    for number in range(5):
        clients.telemetry.opened(f"s{number}", ["orders"], 1.0)

    assert clients.telemetry.expire(100.0) == 3
    assert clients.telemetry.unfollowed == 2


def test_the_summary_tells_fallbacks_by_reason_and_version() -> None:
    clients = Clients()
    clients.report(1.0, client_version="web/2", fallback=Fallback.MUTE)
    clients.report(1.0, client_version="web/2", fallback=Fallback.SHORT)
    clients.report(1.0, client_version="web/1", first_event_ms=200.0)

    summary = clients.telemetry.summary("orders")

    assert summary.reports == {Mode.STREAMING: 3}
    assert summary.fallbacks == {Fallback.MUTE: 1, Fallback.SHORT: 1}
    assert [(hitter.label, hitter.count) for hitter in summary.fallbacks_by_version] == [("web/2", 2)]
    assert summary.first_event_p50_ms == pytest.approx(200.0, rel=0.05)
