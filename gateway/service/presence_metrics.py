"""What /metrics shows of presence and broadcast. docs/operations.md lists it."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.delivery.presence.presence import PresenceHub


class PresenceCollector(Collector):
    """Who is there by this process' streams, and what was written to them."""

    def __init__(self, presence: PresenceHub) -> None:
        self._presence = presence

    def collect(self) -> Iterator[Metric]:
        presence, said = self._presence, self._presence.broadcasting
        gauges = [
            (
                "tidegate_presence_channels",
                "Channels of which streams are told.",
                len(presence.readers),
            ),
            ("tidegate_presence_users", "Users in channels by this process' streams.", presence.own_users),
        ]
        nodes = presence.nodes
        gauges.append(
            ("tidegate_presence_nodes", "Other nodes that are heard.", 0 if nodes is None else len(nodes))
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(name, text, value=value)
        totals = [
            ("tidegate_presence_frames", "Presence events written to streams.", presence.readers.frames),
            ("tidegate_broadcasts", "Broadcasts taken, here and from other nodes.", said.taken),
            ("tidegate_broadcasts_refused", "Broadcasts for which there was no room.", said.refused),
            ("tidegate_broadcasts_delivered", "Broadcasts written to streams.", said.delivered),
            (
                "tidegate_broadcasts_dropped",
                "Broadcasts not written to streams that did not read.",
                said.dropped,
            ),
        ]
        ignored = 0 if nodes is None else nodes.ignored
        totals.append(("tidegate_presence_ignored", "Messages of nodes that could not be read.", ignored))
        for name, text, value in totals:
            yield CounterMetricFamily(name, text, value=value)
