"""What /metrics shows of the states that streams begin with. docs/operations.md lists it."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.delivery.hub import Hub
from gateway.delivery.state.shared import SharedStates


class StateCollector(Collector):
    """How states are read, who waits for one, and what those take that are kept."""

    def __init__(self, states: SharedStates, hub: Hub) -> None:
        self._states = states
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        states, hub = self._states, self._hub
        yield CounterMetricFamily("tidegate_state_reads", "States read and encoded.", value=states.reads)
        yield CounterMetricFamily(
            "tidegate_state_failures", "Times that a state could not be told.", value=states.failures
        )
        yield GaugeMetricFamily(
            "tidegate_streams_awaiting_state",
            "Streams whose state is not known yet.",
            value=hub.state_readers.waiting,
        )
        yield GaugeMetricFamily(
            "tidegate_state_bytes", "Bytes of the states that are kept or being sent.", value=states.bytes
        )
