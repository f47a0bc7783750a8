"""What /metrics shows of the lists that are kept now. docs/operations.md lists it."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class ListCollector(Collector):
    """Read when somebody asks; `lists` gives how many each shared route has, by its path."""

    def __init__(self, lists: Callable[[], Mapping[str, int]]) -> None:
        self._lists = lists

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "tidegate_upstream_lists", "Lists that are kept of a legacy route.", labels=["path"]
        )
        for path, count in self._lists().items():
            family.add_metric([path], count)
        yield family
