"""What /metrics shows, read from the parts' own counters when somebody asks. docs/operations.md lists it."""

import dataclasses
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flags.parity.report import ParityReport
from gateway.access.admission import LIMITS
from gateway.core.history import History, ResetReason
from gateway.core.version import __version__
from gateway.delivery.counters import Work
from gateway.delivery.hub import Hub
from gateway.delivery.revoked_tokens import RevokedTokens


class Published(Protocol):
    """What the publish handler counts."""

    events: int
    requests: int
    replayed: int


_FROM_ZERO = {
    "tidegate_resets": get_args(ResetReason),
    "tidegate_delivery_failures": get_args(Work),
    "tidegate_problems": (
        *("foreign-origin", "insufficient-scope", "internal", "invalid-token", "keys-unavailable"),
        *("several-tokens", "token-required"),
    ),
    "tidegate_forwarded_ignored": ("unreadable", "untrusted"),
    "tidegate_limit_refusals": LIMITS,
}
"""What is shown before it happens: to Prometheus, a series that begins with 1 has not increased."""


class GatewayCollector(Collector):
    """The hub's, the history's and the service's figures, and those of the legacy routes.

    `routes` are dataclasses of counts, or of counts by kind, by the route's path; `parity` gives what is
    known of each component's. `forwarded_ignored` counts by reason what proxies said in vain,
    `limit_refusals` by limit what callers were refused.
    """

    def __init__(
        self,
        hub: Hub,
        history: History,
        problems: Counter[str],
        published: Published,
        failures: Counter[str],
        retries: Counter[str],
        routes: Mapping[str, Any],
        parity: Callable[[], Mapping[str, ParityReport]],
        forwarded_ignored: Counter[str],
        limit_refusals: Counter[str],
        revoked: RevokedTokens,
    ) -> None:
        self._hub = hub
        self._history = history
        self._problems = problems
        self._published = published
        self._failures = failures
        self._retries = retries
        self._routes = routes
        self._parity = parity
        self._forwarded_ignored = forwarded_ignored
        self._limit_refusals = limit_refusals
        self._revoked = revoked

    def collect(self) -> Iterable[Metric]:
        yield from self._gauges()
        yield from self._counters()
        yield from self._upstreams()
        yield from self._comparisons()

    def _gauges(self) -> Iterator[Metric]:
        hub, history = self._hub, self._history
        gauges = [
            ("tidegate_streams", "Open streams.", hub.connections),
            ("tidegate_streams_lagging", "Streams whose client does not keep up.", hub.lagging),
            ("tidegate_groups", "Distinct selections that somebody reads.", len(hub.groups)),
            ("tidegate_history_events", "Events in the history.", history.head - history.floor),
            ("tidegate_history_bytes", "Bytes that the history takes, estimated.", history.size_bytes),
            ("tidegate_streams_behind", "Streams that are older than the history.", len(hub.catch_up.behind)),
            ("tidegate_revocations", "Revocations that hold.", len(self._revoked.revocations)),
            ("tidegate_unflushed_events", "Events that no stream was sent yet.", history.head - hub.flushed),
        ]
        for name, text, value in gauges:
            yield GaugeMetricFamily(name, text, value=value)

    def _counters(self) -> Iterator[Metric]:
        hub, counters = self._hub, self._hub.counters
        totals = [
            ("tidegate_streams_opened", "Streams opened.", counters.opened),
            ("tidegate_flushes", "Flushes of the history to the streams.", counters.flushes),
            ("tidegate_deliveries", "Events written to streams.", counters.deliveries),
            ("tidegate_heartbeats", "Heartbeats written to streams.", counters.heartbeats),
            ("tidegate_hints", "Refresh hints written to streams.", counters.hints),
            ("tidegate_moved", "Streams told that their mode changed.", counters.moved),
            ("tidegate_replayed_events", "Events read from the log for streams.", counters.replayed),
            ("tidegate_state_parts", "Parts of states written to streams.", counters.state_parts),
            ("tidegate_lagged", "Times that a stream's client did not keep up.", counters.lagged),
            ("tidegate_failed_writes", "Writes to connections that were gone.", counters.failed_writes),
            ("tidegate_revocations_malformed", "Revocations that were none.", self._revoked.malformed),
            ("tidegate_published_events", "Events published over HTTP.", self._published.events),
            ("tidegate_publish_requests", "Requests to publish.", self._published.requests),
            (
                "tidegate_publish_replayed",
                "Answers repeated for an Idempotency-Key.",
                self._published.replayed,
            ),
        ]
        for name, text, value in totals:
            yield CounterMetricFamily(name, text, value=value)
        labelled = [
            ("tidegate_resets", "Readers told that their gap can't be filled.", "reason", counters.resets),
            ("tidegate_byes", "Streams ended by the gateway.", "reason", counters.byes),
            ("tidegate_delivery_failures", "Work of delivery that raised.", "work", hub.failures.counts),
            ("tidegate_problems", "Requests refused, by problem.", "problem", self._problems),
            (
                *("tidegate_forwarded_ignored", "Times that what proxies say of a caller did not count."),
                *("reason", self._forwarded_ignored),
            ),
            ("tidegate_limit_refusals", "Times that a caller met a limit.", "limit", self._limit_refusals),
            ("tidegate_task_failures", "Failures of tasks that nobody foresaw.", "task", self._failures),
            ("tidegate_task_retries", "Times that a task found the log out of reach.", "task", self._retries),
        ]
        for name, text, label, values in labelled:
            family = CounterMetricFamily(name, text, labels=[label])
            for key in sorted({*values, *_FROM_ZERO.get(name, ())}):
                family.add_metric([key], values[key])
            yield family

    def _upstreams(self) -> Iterator[Metric]:
        """Every field that routes count, as a counter of its own; what is counted by kind has that label."""
        by_field: dict[str, list[tuple[list[str], int]]] = {}
        for path, counters in self._routes.items():
            for field in dataclasses.fields(counters):
                value = getattr(counters, field.name)
                samples = by_field.setdefault(field.name, [])
                if isinstance(value, int):
                    samples.append(([path], value))
                else:
                    samples += [([path, kind], count) for kind, count in sorted(value.items())]
        for name, samples in by_field.items():
            labels = ["path", "kind"][: max((len(values) for values, _ in samples), default=1)]
            text = f"{name.replace('_', ' ').capitalize()} of a legacy route."
            family = CounterMetricFamily(f"tidegate_upstream_{name}", text, labels=labels)
            for values, count in samples:
                family.add_metric(values, count)
            yield family

    def _comparisons(self) -> Iterator[Metric]:
        samples = CounterMetricFamily(
            "tidegate_parity_samples", "Polled answers compared with what was pushed.", labels=["component"]
        )
        dropped = CounterMetricFamily(
            "tidegate_parity_dropped", "Polled answers taken and not compared.", labels=["component"]
        )
        outcomes = CounterMetricFamily(
            "tidegate_parity_outcomes", "What comparing came to.", labels=["component", "outcome"]
        )
        for component, report in self._parity().items():
            samples.add_metric([component], report.samples)
            dropped.add_metric([component], report.dropped)
            for outcome, count in sorted(report.outcomes.items()):
                outcomes.add_metric([component, outcome.value], count)
        yield from (samples, dropped, outcomes)


class BuildCollector(Collector):
    """`tidegate_build_info`: which gateway this is, and what runs it."""

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily(
            "tidegate_build",
            "The version of this gateway and of its Python.",
            value={"version": __version__, "python": platform.python_version()},
        )


def make_registry(*collectors: Collector) -> CollectorRegistry:
    """A registry of its own, so that several gateways can live in one process."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry
