"""What /metrics shows of the front door. docs/operations.md lists it."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.http.front_door import FrontDoor


class DoorCollector(Collector):
    """The connections that are neither a stream's nor aiohttp's, and what became of requests."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door

    def collect(self) -> Iterator[Metric]:
        door = self._door
        waiting = GaugeMetricFamily(
            "tidegate_door_connections",
            "Connections at the front door: silent ones have sent nothing yet, idle ones were answered.",
            labels=["state"],
        )
        waiting.add_metric(["silent"], len(door.silent))
        waiting.add_metric(["idle"], len(door.idle))
        requests = CounterMetricFamily(
            "tidegate_door_requests",
            "Requests that came to the front door: answered at once, or given to aiohttp.",
            labels=["way"],
        )
        requests.add_metric(["at_once"], door.answered)
        requests.add_metric(["aiohttp"], door.handed_over)
        yield from (waiting, requests)
        yield CounterMetricFamily(
            "tidegate_door_crowded_out",
            "Silent connections that were closed since too many others came.",
            value=door.crowded_out,
        )
