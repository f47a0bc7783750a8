"""What `/metrics` shows of a gateway's parts."""

from collections import Counter

from prometheus_client import CollectorRegistry, ProcessCollector

from gateway.http.client_address import Clients
from gateway.http.publish import PublishHandler
from gateway.service.access_metrics import AccessCollector
from gateway.service.audit_metrics import AuditCollector
from gateway.service.guard_metrics import GuardCollector
from gateway.service.metrics import BuildCollector, GatewayCollector, make_registry
from gateway.service.node_metrics import NodeMessagesCollector
from gateway.service.presence_metrics import PresenceCollector
from gateway.service.state_metrics import StateCollector
from gateway.service.store_metrics import StoreCollector
from gateway.service.summary_metrics import SummariesCollector
from gateway.service.upstream_metrics import ListCollector
from gateway.service.wiring.parts import Gateway


def make_metrics(
    gateway: Gateway, problems: Counter[str], publish: PublishHandler, clients: Clients
) -> CollectorRegistry:
    """The figures of the parts, of what was refused (`problems`), and of the process."""
    delivery, source, migration = gateway.delivery, gateway.upstreams.source, gateway.migration
    return make_registry(
        GatewayCollector(
            delivery.hub,
            gateway.stored.history,
            problems,
            publish.counters,
            delivery.supervisor.failures,
            delivery.supervisor.retries,
            source.counters,
            migration.parity.reports,
            clients.ignored,
            gateway.admission.refused.counts,
            delivery.revoked,
        ),
        ListCollector(source.list_counts),
        StoreCollector(gateway.stored.log, source.shared, gateway.flags.store),
        NodeMessagesCollector(gateway.stored.node_topics),
        StateCollector(delivery.states, delivery.hub),
        PresenceCollector(delivery.hub.presence),
        AccessCollector(gateway.access.remote_keys),
        AuditCollector(gateway.audit.recorder),
        GuardCollector(migration.guard_loop, migration.telemetry),
        SummariesCollector(migration.summaries),
        migration.latencies,
        ProcessCollector(registry=None),
        BuildCollector(),
    )
