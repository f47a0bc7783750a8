"""Histograms of how long things take, as prometheus_client would have them."""

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from gateway.runtime.latencies import Latencies

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OBSERVED = (0.0, 0.0004, 0.001, 0.0011, 0.3, 1.0, 59.0, 60.0, 61.0, -0.5)
ROUTE = "/api/v1/sync/events"


def lines(registry: CollectorRegistry, name: str) -> list[str]:
    """What is shown of a metric, but when its series began: that is of no use to anybody."""
    shown = generate_latest(registry).decode().splitlines()
    return [line for line in shown if name in line and "_created" not in line]


@pytest.fixture
def latencies() -> Latencies:
    return Latencies()


@pytest.fixture
def registry(latencies: Latencies) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(latencies)
    return registry


def test_requests_are_shown_by_route_method_and_status(
    latencies: Latencies, registry: CollectorRegistry
) -> None:
    name = "tidegate_http_request_seconds"
    expected = CollectorRegistry()
    theirs = Histogram(
        name,
        "From a request's head to its whole answer; streams are not among them.",
        ["route", "method", "status"],
        buckets=BOUNDS,
        registry=expected,
    )
    assert lines(registry, name) == lines(expected, name)
    for seconds in OBSERVED:
        for method, status in (("POST", 201), ("GET", 200)):
            latencies.answered(ROUTE, method, status, seconds)
            theirs.labels(ROUTE, method, str(status)).observe(seconds)
    assert lines(registry, name) == lines(expected, name)


def test_events_are_shown_from_the_start(latencies: Latencies, registry: CollectorRegistry) -> None:
    name = "tidegate_push_lag_seconds"
    expected = CollectorRegistry()
    theirs = Histogram(
        name,
        "From an event's timestamp until it was written to the streams; up to four of each flush.",
        buckets=BOUNDS,
        registry=expected,
    )
    assert lines(registry, name) == lines(expected, name)
    for seconds in OBSERVED:
        latencies.written(seconds, 0.2)
        theirs.observe(seconds)
    assert lines(registry, name) == lines(expected, name)


def test_an_event_whose_time_can_not_be_read_counts_for_its_delivery_alone(
    latencies: Latencies, registry: CollectorRegistry
) -> None:
    latencies.written(None, 0.2)
    assert registry.get_sample_value("tidegate_push_lag_seconds_count") == 0
    assert registry.get_sample_value("tidegate_delivery_seconds_count") == 1
    assert registry.get_sample_value("tidegate_delivery_seconds_sum") == 0.2
    assert registry.get_sample_value("tidegate_delivery_seconds_bucket", {"le": "0.1"}) == 0
    assert registry.get_sample_value("tidegate_delivery_seconds_bucket", {"le": "0.25"}) == 1
