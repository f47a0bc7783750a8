"""Who still polls, and what polling no longer costs."""

import pytest

from flags.guard.inventory import RATE_SECONDS, PollerInventory


def test_pollers_are_listed_by_label_the_most_frequent_first() -> None:
    inventory = PollerInventory()
    for at, label in enumerate(["web/1", "web/2", "web/1", "curl 8.5"]):
        inventory.polled(label, float(at), from_snapshot=True)

    report = inventory.report(5.0)

    assert [(poller.label, poller.polls) for poller in report.pollers] == [
        ("web/1", 2),
        ("web/2", 1),
        ("curl 8.5", 1),
    ]
    assert [poller.last_seen_seconds for poller in report.pollers] == [3.0, 4.0, 2.0]
    assert (report.polls, report.unlisted_bound) == (4, 0)


def test_a_steady_poller_has_its_rate_and_one_that_stopped_fades() -> None:
    inventory = PollerInventory()
    for number in range(2000):
        inventory.polled("web/1", number * 0.5, from_snapshot=True)

    now = 2000 * 0.5
    (poller,) = inventory.report(now).pollers
    assert poller.per_second == pytest.approx(2.0, rel=0.02)
    (poller,) = inventory.report(now + 10 * RATE_SECONDS).pollers
    assert poller.per_second < 0.001


def test_a_flood_of_labels_takes_bounded_memory_and_hides_no_frequent_poller() -> None:
    inventory = PollerInventory(capacity=8)
    for number in range(4000):
        inventory.polled(f"made-up/{number}", 1.0, from_snapshot=True)
        if number % 4 == 0:
            inventory.polled("web/1", 1.0, from_snapshot=True)

    report = inventory.report(2.0)

    assert len(report.pollers) == 8
    (found,) = [poller for poller in report.pollers if poller.label == "web/1"]
    assert found.polls - found.error <= 1000 <= found.polls
    assert report.unlisted_bound <= 5000 / 8


def test_the_snapshot_saves_what_the_polls_would_have_cost_beyond_it() -> None:
    inventory = PollerInventory()
    for _ in range(10):
        inventory.polled("web/1", 1.0, from_snapshot=True)
    inventory.polled("web/1", 1.0, from_snapshot=False)
    for _ in range(3):
        inventory.asked_upstream()

    report = inventory.report(1.0)

    assert (report.upstream_requests, report.saved_by_snapshot, report.saved_by_push) == (3, 7, 0)


def test_push_saves_the_polls_of_those_who_stream_less_what_feeding_them_costs() -> None:
    inventory = PollerInventory()
    for _ in range(30):
        inventory.asked_upstream()
    inventory.streamed(client_seconds=100 * 60, poll_interval_seconds=5)

    report = inventory.report(60.0)

    assert (report.saved_by_snapshot, report.saved_by_push) == (0, 1200 - 30)


def test_nothing_is_saved_where_the_upstream_is_asked_more_often_than_clients_would() -> None:
    inventory = PollerInventory()
    inventory.polled("web/1", 1.0, from_snapshot=True)
    for _ in range(5):
        inventory.asked_upstream()

    assert (inventory.report(1.0).saved_by_snapshot, inventory.report(1.0).saved_by_push) == (0, 0)


def test_streaming_for_no_time_or_at_no_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="interval"):
        PollerInventory().streamed(1.0, 0.0)
