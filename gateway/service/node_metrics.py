"""What /metrics shows of what the nodes of a log tell one another. docs/operations.md lists it."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.runtime.node_topics import NodeTopics


class NodeMessagesCollector(Collector):
    """Read from the carrier when somebody asks. Shows nothing where there are no other nodes (None)."""

    def __init__(self, messages: NodeTopics | None) -> None:
        self._messages = messages

    def collect(self) -> Iterable[Metric]:
        if self._messages is None:
            return
        family = CounterMetricFamily(
            "tidegate_node_messages", "Messages between the nodes of the log, by kind.", labels=["kind"]
        )
        for kind, count in self._messages.counts.items():
            family.add_metric([kind], count)
        yield family
