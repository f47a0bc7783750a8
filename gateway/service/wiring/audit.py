"""The audit trail: where it is kept, and who writes it. What `[audit]` comes to."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.migration.guard_acts import WHO
from gateway.ports.audit import AuditStore
from gateway.ports.clock import Clock
from gateway.runtime.audit_recorder import AuditRecorder
from gateway.runtime.outage import Outage
from gateway.runtime.stopping import Closing
from gateway.runtime.supervisor import Supervisor
from gateway.service.settings import Settings
from gateway.service.wiring.flags import OutageBesideLog
from gateway.service.wiring.logs import open_audit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Audit:
    """The store, and what writes to it."""

    store: AuditStore
    recorder: AuditRecorder

    async def start(self, closing: Closing) -> None:
        """Connects. Raises LogError where the store can't be used."""
        closing.add("audit", self.recorder.close)
        await self.store.start()

    def run(self, supervisor: Supervisor) -> None:
        """Writes from now on, until the supervisor is closed."""
        supervisor.run("audit", self.recorder.run)

    def acted(self, component: str, change: Mapping[str, Any], reason: str) -> None:
        """The guard changed a component's flag by itself."""
        members = {"component": component, "reason": reason, "change": dict(change)}
        self.recorder.add("admin", WHO, members)


def make_audit(settings: Settings, clock: Clock, log_outage: Outage) -> Audit:
    """The trail beside the log of `log.url`; `log_outage` tells when the log is out of reach."""
    store = open_audit(settings, clock)
    outage = OutageBesideLog(Outage(_log, "audit", now=clock.monotonic), log_outage, clock.monotonic)
    return Audit(store, AuditRecorder(store, clock, outage))
