"""How long things take, as histograms for /metrics. docs/operations.md lists them."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The buckets' upper bounds: from what a quick answer takes to the longest long poll."""


_BOUNDS = (*map(floatToGoString, _SECONDS), "+Inf")


class _Histogram:
    """What was observed, in `_SECONDS`; prometheus_client's own takes a lock and four times as long."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def add_to(self, family: HistogramMetricFamily, labels: Iterable[str] = ()) -> None:
        """Its samples, each bucket with those below it."""
        buckets = list(zip(_BOUNDS, map(float, accumulate(self._counts)), strict=True))
        family.add_metric(list(labels), buckets, self._sum)


class Latencies(Collector):
    """Histograms in seconds: of requests by route, method and status, and of events on their way."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], _Histogram] = {}
        self._push_lag = _Histogram()
        self._delivery = _Histogram()

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. `route` and `method` are of a bounded number."""
        key = (route, method, status)
        histogram = self._requests.get(key)
        if histogram is None:
            histogram = self._requests[key] = _Histogram()
        histogram.observe(seconds)

    def written(self, push_lag: float | None, delivery: float) -> None:
        """An event was written to the streams, so many seconds after its timestamp and after the log got it.

        `push_lag` is None where its timestamp can't be read.
        """
        if push_lag is not None:
            self._push_lag.observe(push_lag)
        self._delivery.observe(delivery)

    def collect(self) -> Iterable[Metric]:
        requests = HistogramMetricFamily(
            "tidegate_http_request_seconds",
            "From a request's head to its whole answer; streams are not among them.",
            labels=["route", "method", "status"],
        )
        for (route, method, status), histogram in self._requests.items():
            histogram.add_to(requests, (route, method, str(status)))
        push_lag = HistogramMetricFamily(
            "tidegate_push_lag_seconds",
            "From an event's timestamp until it was written to the streams; up to four of each flush.",
        )
        self._push_lag.add_to(push_lag)
        delivery = HistogramMetricFamily(
            "tidegate_delivery_seconds",
            "From when the log got an event until it was written to the streams; up to four of each flush.",
        )
        self._delivery.add_to(delivery)
        return requests, push_lag, delivery
