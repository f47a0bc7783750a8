"""Builds the parity sampler out of the settings of the legacy routes."""

from collections.abc import Callable
from functools import partial

from adapters.upstream import Poller, UpstreamSource, derived_members
from flags.parity.canonical import ComparisonRules
from flags.parity.comparison import Parity
from flags.store.port import FlagStore
from gateway.core.events import ORIGIN
from gateway.core.history import History
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.parity_lane import ParityLane
from gateway.migration.parity_lease import ParityLease
from gateway.migration.parity_sampler import ParitySampler
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.legacy_route import LegacyRoute
from gateway.runtime.slices import Slices
from gateway.service.legacy_settings import ParitySettings
from gateway.service.settings import Settings


def make_parity(
    settings: Settings,
    upstreams: UpstreamSource,
    history: History,
    flags: FlagStore,
    windows: GuardWindows,
    clock: Clock,
    slices: Slices,
    leases: Leases | None,
) -> ParitySampler:
    """The sampler with a lane for every shared route, which listens to the route's poller.

    `leases` are those of the nodes that share the log: of each route one of them compares.
    Of a route that makes no events nothing is pushed that could be compared with it.
    """
    given = {route.path: route.parity for route in settings.legacy}
    sampler = ParitySampler(
        history, clock, slices, lambda component, tally, now: windows[component].compared(tally, now)
    )
    for route in upstreams.routes:
        poller = upstreams.poller(route)
        if poller is not None and route.events != "none":
            lease = ParityLease(route, leases, partial(upstreams.asks, route), clock)
            lane = _lane(route, given[route.path], poller, flags, clock, lease, sampler.wake)
            poller.listener = lane
            sampler.add(lane)
    flags.subscribe(sampler.flags_changed)
    return sampler


def _lane(
    route: LegacyRoute,
    given: ParitySettings,
    poller: Poller,
    flags: FlagStore,
    clock: Clock,
    lease: ParityLease,
    wake: Callable[[], None],
) -> ParityLane:
    ignored = (*route.ignore, *given.ignore)
    rules = ComparisonRules.of(ignored, given.unordered, given.numeric_tolerance, derived_members(route))
    settle_seconds = given.settle_of(route.interval_seconds)
    parity = Parity(
        route.entity,
        rules,
        settle_seconds,
        ORIGIN,
        clock.monotonic(),
        merge=given.merge,
        same_source=route.events == "poll",
        keep_values=given.keep_values,
    )
    flag = lambda: flags.snapshot().get(route.component)  # noqa: E731
    return ParityLane(route, poller.items_of, parity, settle_seconds, flag, lease, wake)
