"""What /metrics shows of the guard and of clients' telemetry. docs/operations.md lists it."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flags.guard.telemetry import Telemetry
from flags.guard.verdict import Kind
from gateway.migration.guard_loop import GuardLoop


class GuardCollector(Collector):
    """Read from the parts' own counters when somebody asks."""

    def __init__(self, guard_loop: GuardLoop, telemetry: Telemetry) -> None:
        self._guard_loop = guard_loop
        self._telemetry = telemetry

    def collect(self) -> Iterable[Metric]:
        yield self._verdicts()
        yield from self._actions()
        yield from self._reports()

    def _verdicts(self) -> Metric:
        family = GaugeMetricFamily(
            "tidegate_guard_verdict",
            "1 for the verdict that stands, of each component.",
            labels=["component", "verdict"],
        )
        for component, verdict in sorted(self._guard_loop.verdicts().items()):
            for kind in Kind:
                family.add_metric([component, kind], int(kind is verdict))
        return family

    def _actions(self) -> Iterator[Metric]:
        counters = self._guard_loop.counters
        yield CounterMetricFamily(
            "tidegate_guard_evaluations", "Times that a component was judged.", value=counters.evaluations
        )
        for name, text, counts in (
            ("rollbacks", "Automatic rollbacks.", counters.rollbacks),
            ("promotions", "Automatic promotions.", counters.promotions),
            ("dry_runs", "Actions that a dry run only told of.", counters.dry_runs),
            ("refused", "Actions that the store did not take.", counters.refused),
        ):
            family = CounterMetricFamily(f"tidegate_guard_{name}", text, labels=["component"])
            # A component that is judged has them from then on: a series that begins with 1 is no increase.
            for component in sorted({*counts, *self._guard_loop.verdicts()}):
                family.add_metric([component], counts.get(component, 0))
            yield family

    def _reports(self) -> Iterator[Metric]:
        telemetry = self._telemetry
        for name, text, value in (
            ("limited", "Reports refused because there were too many.", telemetry.limited),
            ("unfollowed", "Open streams too many to remember them.", telemetry.unfollowed),
            ("matched", "Reports on streams that were opened here.", telemetry.matched),
            ("unmatched", "Reports on streams that were not opened here.", telemetry.unmatched),
            ("forwarded", "Such reports that the other nodes were told of.", telemetry.forwarded),
        ):
            yield CounterMetricFamily(f"tidegate_telemetry_{name}", text, value=value)
        reports = CounterMetricFamily(
            "tidegate_telemetry_reports", "Clients' reports, by their mode.", labels=["component", "mode"]
        )
        fallbacks = CounterMetricFamily(
            "tidegate_telemetry_fallbacks", "Clients that fell back.", labels=["component", "reason"]
        )
        for component in sorted(telemetry.components()):
            summary = telemetry.summary(component)
            for mode, count in sorted(summary.reports.items()):
                reports.add_metric([component, mode], count)
            for reason, count in sorted(summary.fallbacks.items()):
                fallbacks.add_metric([component, reason], count)
        yield from (reports, fallbacks)
