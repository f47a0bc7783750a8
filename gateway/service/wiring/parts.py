"""The parts of one gateway, room by room: who is built from what, and in which order they start."""

from dataclasses import dataclass

from flags.errors import StoreUnreadable
from flags.store.local_kills import Others
from gateway.access.admission import Admission
from gateway.core.errors import ConfigError, LogError
from gateway.delivery.observer import Observers
from gateway.delivery.pace import Pace
from gateway.ports.clock import Clock
from gateway.ports.log import EventLog, WatchedLog
from gateway.runtime.stopping import Closing
from gateway.service.settings import Settings
from gateway.service.wiring.access import make_admission
from gateway.service.wiring.audit import Audit, make_audit
from gateway.service.wiring.auth import Access, make_access
from gateway.service.wiring.delivery import Delivery, make_delivery
from gateway.service.wiring.flags import Flags, make_flags
from gateway.service.wiring.migration import Migration, make_migration
from gateway.service.wiring.state import make_state_source
from gateway.service.wiring.stored import Stored, make_stored
from gateway.service.wiring.upstreams import Upstreams, make_upstreams


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of one running gateway."""

    access: Access
    stored: Stored
    audit: Audit
    upstreams: Upstreams
    flags: Flags
    migration: Migration
    delivery: Delivery
    admission: Admission
    ready_needs_upstreams: bool

    async def start(self, closing: Closing) -> None:
        """From the log and the flags to their readers; whoever asks after this gets answers.

        `closing` ends, in the opposite order, whatever has begun by then, also where this fails. Raises
        ConfigError where the flags or the log can't be used.
        """
        try:
            await self.stored.start(closing)
            await self.audit.start(closing)
            await self.flags.start(closing)
            await self.delivery.start(closing)
            await self.access.start(self.delivery.supervisor)
            self.audit.run(self.delivery.supervisor)
            await self.upstreams.start(closing)
            closing.add("node_summaries", self.migration.summaries.close)
            self.migration.start(self.delivery.supervisor)
        except LogError as error:
            raise ConfigError(f"log.url: {error.detail}") from error
        except StoreUnreadable as error:
            raise ConfigError(f"flags.store: {error.detail}") from error

    def not_ready(self) -> list[str]:
        """Why no new client should come here, one sentence each."""
        reasons = []
        if self.delivery.hub.is_draining:
            reasons.append("The gateway is stopping.")
        if self.delivery.follower.trouble is not None:
            reasons.append(self.delivery.follower.trouble)
        if self.ready_needs_upstreams:
            reasons += self.upstreams.failing()
        return reasons

    def warnings(self) -> list[str]:
        """What an operator should see to although clients are served, one sentence each."""
        log, flags = self.stored.log, self.flags.store
        warnings = log.warnings() if isinstance(log, WatchedLog) else []
        if flags.snapshot().stale:
            warnings.append("The flags can't be read: those that were read last stay in force.")
        if flags.held:
            held = ", ".join(sorted(component or "everything" for component in flags.held))
            warnings.append(f"Killed on this node alone, until the flags' store takes it: {held}.")
        warnings += self.access.warnings() + self.migration.summaries.warnings()
        warnings += self.migration.guard_sums.warnings()
        return warnings + self.upstreams.failing() + self.delivery.hub.failures.warnings()


def make_gateway(
    settings: Settings, clock: Clock, log: EventLog | None, pace: Pace, others: Others
) -> Gateway:
    """A gateway in the running event loop, not started yet; `log` in place of that of `log.url`."""
    access = make_access(settings, clock)
    stored = make_stored(settings, clock, log)
    audit = make_audit(settings, clock, stored.outage)
    flags = make_flags(settings, clock, stored.shared, stored.outage, others)
    upstreams = make_upstreams(settings, clock, stored, flags.store)
    migration = make_migration(settings, clock, stored, upstreams.source, flags.store, audit.acted)
    admission = make_admission(settings, clock)
    observer, on_grown = Observers(admission, migration.evidence), migration.grown
    source = make_state_source(clock, stored, upstreams)
    delivery = make_delivery(settings, clock, stored, upstreams.groups, observer, on_grown, source, pace)
    needs_upstreams = settings.server.ready_needs_upstreams
    return Gateway(
        *(access, stored, audit, upstreams, flags, migration, delivery),
        *(admission, needs_upstreams),
    )
