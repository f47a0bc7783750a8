"""What /metrics shows of what the nodes of a log have counted together. docs/operations.md lists it."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.migration.node_summaries import NodeSummaries


class SummariesCollector(Collector):
    """Read from the summaries when somebody asks."""

    def __init__(self, summaries: NodeSummaries) -> None:
        self._summaries = summaries

    def collect(self) -> Iterable[Metric]:
        states = GaugeMetricFamily(
            "tidegate_node_summaries", "Other nodes whose figures this one has read.", labels=["state"]
        )
        for state, count in self._summaries.counts().items():
            states.add_metric([state], count)
        yield states
        yield GaugeMetricFamily(
            "tidegate_guard_leading", "1 where this node judges for all.", value=int(self._summaries.leads)
        )
