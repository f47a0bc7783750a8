"""What /metrics shows of the audit trail. docs/operations.md lists it."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.runtime.audit_recorder import AuditRecorder


class AuditCollector(Collector):
    """Read from the recorder when somebody asks; the store is not asked for it."""

    def __init__(self, recorder: AuditRecorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterable[Metric]:
        for name, text, counts in (
            ("tidegate_audit_entries", "Entries of the audit trail.", self._recorder.recorded),
            ("tidegate_audit_lost", "Entries that were never written.", self._recorder.lost),
        ):
            family = CounterMetricFamily(name, text, labels=["kind"])
            for kind, count in sorted(counts.items()):
                family.add_metric([kind], count)
            yield family
        yield GaugeMetricFamily(
            "tidegate_audit_waiting", "Entries that are not written yet.", value=self._recorder.waiting
        )
