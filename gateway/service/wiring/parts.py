"""Builds the parts of a gateway out of its settings, noun by noun; service/app.py puts them together."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from adapters.upstream import UpstreamSource
from flags.guard.telemetry import Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.store.port import FlagStore
from gateway.core.history import History
from gateway.delivery.follower import Follower
from gateway.delivery.group import Groups
from gateway.delivery.hub import Hub, HubTiming
from gateway.delivery.interest import Interest
from gateway.delivery.observer import Observer
from gateway.delivery.pace import Pace
from gateway.delivery.replay.from_log import Replays
from gateway.delivery.replay.log_archive import Archive
from gateway.delivery.replay.queue import ReplayQueue
from gateway.migration.guard_loop import Guardian
from gateway.migration.guard_windows import GuardWindows, window_seconds
from gateway.migration.parity_sampler import ParitySampler
from gateway.migration.poll_inventory import Pollers
from gateway.migration.stream_evidence import Audience
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.log import EventLog
from gateway.ports.shared import SharedStore
from gateway.runtime.latencies import Latencies
from gateway.runtime.outage import Outage
from gateway.runtime.slices import Slices
from gateway.service.settings import Settings
from gateway.service.wiring.logs import open_leases, open_log
from gateway.service.wiring.parity import make_parity

_log = logging.getLogger(__name__)

REPORTS_EACH = Rate(per_second=20, burst=100)
"""What one address may report: one report a stream, but many clients may share an address."""
REPORTS_TOTAL = Rate(per_second=500, burst=2000)
MOST_REPORTERS = 10_000


class Stored(NamedTuple):
    """Where the events are: the log, who does what for all nodes of it, and this node's history of it.

    `outage` tells of the log's outages, `slices` are those of what the gateway does by itself. Callers' scans
    have slices of their own: however many there are, they don't hold that up.
    """

    log: EventLog
    leases: Leases | None
    history: History
    outage: Outage
    slices: Slices

    @property
    def is_alone(self) -> bool:
        """Whether no other node serves the same log."""
        return self.leases is None or not self.leases.is_shared

    @property
    def shared(self) -> SharedStore | None:
        """What nodes share beside the log."""
        return None if self.leases is None else self.leases.store


class Delivery(NamedTuple):
    """What brings events from the log to the streams."""

    hub: Hub
    archive: Archive
    follower: Follower
    replays: Replays


class Upstreams(NamedTuple):
    """The legacy endpoints, and who wants to hear of them."""

    groups: Groups
    interest: Interest
    source: UpstreamSource


class Evidence(NamedTuple):
    """What the migration is judged by, and who judges."""

    windows: GuardWindows
    telemetry: Telemetry
    audience: Audience
    latencies: Latencies
    pollers: Pollers
    guardian: Guardian
    parity: ParitySampler


def make_stored(settings: Settings, clock: Clock, log: EventLog | None) -> Stored:
    """The log of `log.url`, or `log` in its place. Raises ConfigError where the URL is of no use."""
    history = History(**settings.history.model_dump(), id_aliases=id_aliases(settings))
    outage = Outage(_log, "log", now=clock.monotonic)
    return Stored(
        log or open_log(settings, clock), open_leases(settings, clock), history, outage, Slices(clock)
    )


def make_delivery(
    settings: Settings,
    clock: Clock,
    stored: Stored,
    groups: Groups,
    observer: Observer,
    on_grown: Callable[[], None],
    pace: Pace,
) -> Delivery:
    """The hub of this event loop over the history, and what fills the history from the log."""
    timing = HubTiming(
        heartbeat_seconds=settings.stream.heartbeat_seconds,
        coalesce_seconds=settings.stream.coalesce_ms / 1000,
        stall_seconds=settings.stream.stall_seconds,
        retry_ms=settings.stream.retry_ms,
    )
    log, history, queue = stored.log, stored.history, ReplayQueue()
    loop = asyncio.get_running_loop()
    hub = Hub(history, loop, clock, timing, groups, observer=observer, replays=queue, pace=pace)
    archive = Archive(log, history, clock, stored.slices, pace)
    follower = Follower(log, history, hub, clock, stored.outage, on_grown)
    return Delivery(hub, archive, follower, Replays(history, archive, hub, queue, pace))


def make_upstreams(settings: Settings, clock: Clock, stored: Stored) -> Upstreams:
    """The pollers of the legacy routes; of the nodes that share a store, one asks each upstream.

    Here is tied who asks for interest and who wakes those that ask: streams and polls wake the pollers.
    """
    routes = _routes(settings)
    source = UpstreamSource(
        routes,
        stored.log,
        lambda entity_type: interest.wants(entity_type),
        clock,
        leases=stored.leases,
        log_outage=stored.outage,
        slices=stored.slices,
    )
    groups = Groups(settings.hints.fan_in, source.wake)
    interest = Interest(groups, clock, {route.entity for route in routes}, source.wake)
    return Upstreams(groups, interest, source)


def make_evidence(
    settings: Settings,
    clock: Clock,
    flags: FlagStore,
    stored: Stored,
    upstreams: UpstreamSource,
) -> Evidence:
    """The guard and what it judges by, listening to the flags; `audience` is to hear the hub, `parity` of the
    history's growth."""
    owned = owned_types(settings)
    windows = GuardWindows(window_seconds(flags.snapshot, owned))
    limits = ClientLimits(REPORTS_EACH, REPORTS_TOTAL, MOST_REPORTERS, clock.monotonic())
    telemetry = Telemetry(windows, limits)
    latencies = Latencies()
    audience = Audience(windows, telemetry, owned, clock, latencies.written, hears_all=stored.is_alone)
    pollers = Pollers(windows.knows, upstreams.requests_of)
    guardian = Guardian(flags, windows, audience, pollers, clock, _compared(upstreams.routes))
    flags.subscribe(guardian.changed)
    parity = make_parity(settings, upstreams, stored.history, flags, windows, clock, stored.slices)
    return Evidence(windows, telemetry, audience, latencies, pollers, guardian, parity)


def id_aliases(settings: Settings) -> dict[str, str]:
    """The member that stands for the entity's id, by entity type."""
    return {name: entity.id_alias for name, entity in settings.entities.items()}


def owned_types(settings: Settings) -> dict[str, frozenset[str]]:
    """The entity types of each component: those of its legacy routes, and those it names."""
    owned = {name: frozenset(component.entities) for name, component in settings.components.items()}
    for route in settings.legacy:
        owned[route.component] = owned.get(route.component, frozenset()) | {route.entity}
    return owned


def _routes(settings: Settings) -> list[LegacyRoute]:
    max_event_bytes = settings.publish.max_event_bytes
    return [
        LegacyRoute(
            **{name: value for name, value in route if name != "parity"}, max_event_bytes=max_event_bytes
        )
        for route in settings.legacy
    ]


def _compared(routes: Iterable[LegacyRoute]) -> set[str]:
    """The components whose push has another source than the polled answers it can be compared with."""
    return {route.component for route in routes if route.shared and route.events == "external"}
