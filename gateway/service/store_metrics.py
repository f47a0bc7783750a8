"""What /metrics shows of the log, of what nodes share, and of the flags. docs/operations.md lists it."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flags.store.port import FlagStore
from gateway.ports.log import EventLog, WatchedLog
from gateway.ports.route_counters import SharedCount

_SHARED: Mapping[SharedCount, str] = {
    "led": "Looks at an upstream that this node made for all.",
    "followed": "Looks at what another node had got of an upstream.",
    "overtaken": "Answers that were dropped because another node was quicker.",
    "completed": "Changes that another node had begun to publish.",
    "lost": "Answers to compare with that were gone: changes may have gone unnoticed.",
}


class StoreCollector(Collector):
    """Read from the parts' own counters when somebody asks; no server is asked for it.

    `shared` gives whether this node asks a route's upstream for all nodes, and its counts, by path.
    """

    def __init__(
        self,
        log: EventLog,
        shared: Callable[[], Mapping[str, tuple[bool, Mapping[SharedCount, int]]]],
        flags: FlagStore,
    ) -> None:
        self._log = log
        self._shared = shared
        self._flags = flags

    def collect(self) -> Iterable[Metric]:
        yield from self._log_figures()
        yield from self._sharing()
        yield from self._flag_store()

    def _log_figures(self) -> Iterator[Metric]:
        if not isinstance(self._log, WatchedLog):
            return
        for figure in self._log.figures():
            family = CounterMetricFamily if figure.is_total else GaugeMetricFamily
            yield family(f"tidegate_log_{figure.name}", figure.text, value=figure.value)

    def _sharing(self) -> Iterator[Metric]:
        leading = GaugeMetricFamily(
            "tidegate_upstream_shared_leading", "1 where this node asks for all.", labels=["path"]
        )
        counters = {
            name: CounterMetricFamily(f"tidegate_upstream_shared_{name}", text, labels=["path"])
            for name, text in _SHARED.items()
        }
        for path, (is_leading, counts) in self._shared().items():
            leading.add_metric([path], is_leading)
            for name, family in counters.items():
                family.add_metric([path], counts.get(name, 0))
        yield leading
        yield from counters.values()

    def _flag_store(self) -> Iterator[Metric]:
        flags = self._flags.snapshot()
        yield GaugeMetricFamily("tidegate_flags", "Components with a flag.", value=len(flags.by_component))
        yield GaugeMetricFamily(
            "tidegate_flags_stale", "1 where the store can't be used and old flags stay.", value=flags.stale
        )
        told = CounterMetricFamily(
            "tidegate_flags_events", "What the store of the flags told, by log line.", labels=["event"]
        )
        for event, count in sorted(dict(self._flags.counts).items()):
            told.add_metric([event], count)
        yield told
