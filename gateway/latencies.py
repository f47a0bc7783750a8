"""How long things take, as histograms for /metrics. docs/operations.md lists them."""

from collections.abc import Iterable

from prometheus_client import Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The buckets' upper bounds: from what a quick answer takes to the longest long poll."""


class Latencies(Collector):
    """Histograms in seconds: of requests by route, method and status, and of events on their way."""

    def __init__(self) -> None:
        self._requests = Histogram(
            "tidegate_http_request_seconds",
            "From a request's head to its whole answer; streams are not among them.",
            ["route", "method", "status"],
            buckets=_SECONDS,
            registry=None,
        )
        self._push_lag = Histogram(
            "tidegate_push_lag_seconds",
            "From an event's timestamp until it was written to the streams; up to four of each flush.",
            buckets=_SECONDS,
            registry=None,
        )
        self._delivery = Histogram(
            "tidegate_delivery_seconds",
            "From when the log got an event until it was written to the streams; up to four of each flush.",
            buckets=_SECONDS,
            registry=None,
        )
        self._by_route: dict[tuple[str, str, int], Histogram] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. `route` and `method` are of a bounded number."""
        key = (route, method, status)
        histogram = self._by_route.get(key)
        if histogram is None:
            histogram = self._by_route[key] = self._requests.labels(route, method, str(status))
        histogram.observe(seconds)

    def written(self, push_lag: float | None, delivery: float) -> None:
        """An event was written to the streams, so many seconds after its timestamp and after the log got it.

        `push_lag` is None where its timestamp can't be read.
        """
        if push_lag is not None:
            self._push_lag.observe(push_lag)
        self._delivery.observe(delivery)

    def collect(self) -> Iterable[Metric]:
        for histogram in (self._requests, self._push_lag, self._delivery):
            for metric in histogram.collect():
                # When a series began is of no use to anybody, and would be a gauge for each of them.
                metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
                yield metric
