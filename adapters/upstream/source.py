"""The upstreams of all legacy routes: their pollers, their proxy, and how they are."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter

from cachetools import LRUCache

from adapters.upstream.answer_position import head_of
from adapters.upstream.fetch import Polls
from adapters.upstream.functions import FunctionRunners
from adapters.upstream.items import Items
from adapters.upstream.outages import RouteOutages, Server, address_of, servers_of
from adapters.upstream.poller import Follows, Poller
from adapters.upstream.proxy import Proxy
from adapters.upstream.shared_poll import SharedPolls
from adapters.upstream.shared_tracker import SharedTracker
from adapters.upstream.tls import TlsContexts
from adapters.upstream.tracker import Tracker
from gateway.core.errors import LogError
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.log import EventLog
from gateway.ports.route_counters import RouteCounters, RouteHealth, SharedCount
from gateway.runtime.outage import Outage
from gateway.runtime.slices import Slices
from gateway.runtime.supervisor import Supervisor

_ITEMS_CACHE_BYTES = 64 * 1024 * 1024
RELEASE_SECONDS = 1.0
"""How long closing waits for leases to be given back: a store that hangs must not hold up the stop."""


class UpstreamSource:
    """Polls the shared routes while `wanted`, publishes to `log` what changed, and forwards the rest.

    `wanted` says whether a subscriber could receive events of an entity type. Of the nodes that share
    `leases` only one asks an upstream, and the others serve what it got. `log_outage` tells of the log's
    outages; long work takes its turns in `slices`. `close` waits `release_seconds` for leases to be given
    back. Modules of functions are looked for in the directory `modules` first. Raises ValueError where two
    routes have the same path, or a file for TLS can't be used.
    """

    def __init__(
        self,
        routes: Sequence[LegacyRoute],
        log: EventLog,
        wanted: Callable[[str], bool],
        clock: Clock,
        leases: Leases | None = None,
        log_outage: Outage | None = None,
        slices: Slices | None = None,
        release_seconds: float = RELEASE_SECONDS,
        modules: str = ".",
    ) -> None:
        if len({route.path for route in routes}) < len(routes):
            raise ValueError("two legacy routes have the same path")
        self.routes = tuple(routes)
        tls = TlsContexts(self.routes)
        slices = slices or Slices(clock)
        self._polls = Polls(self.routes, tls, clock.wall_ms, slices)
        self._shared_polls = SharedPolls(self._polls.fetch, partial(head_of, log), clock)
        self._functions = FunctionRunners(modules)
        self.proxy = Proxy(tls)
        self.counters: Mapping[str, RouteCounters] = {route.path: RouteCounters() for route in routes}
        """By the route's path."""
        self._servers = servers_of(self.routes, clock.monotonic)
        self._shared: dict[str, SharedTracker] = {}
        self._supervisor = Supervisor()
        self._leases = leases
        self._release_seconds = release_seconds
        # Snapshots are one to a route and never dropped: without its base, a comparison would miss what
        # changed meanwhile. What was read from them can be read again, and is held as long as there is room.
        items: LRUCache[tuple[str, str], Items] = LRUCache(_ITEMS_CACHE_BYTES, getsizeof=attrgetter("size"))
        self._pollers: dict[str, Poller] = {}
        for route in self.routes:
            if route.shared:
                counters = self.counters[route.path]
                fetch, functions = self._shared_polls.asker(route), self._functions.of(route)
                make = partial(
                    Tracker,
                    *(route, log, fetch, clock, items, counters, slices),
                    functions=functions,
                    outdate=fetch.outdate,
                )
                follows: Follows = make()
                if leases is not None:
                    follows = self._shared[route.path] = SharedTracker(route, make, log, leases, clock)
                outages = RouteOutages(route, self.server(route), clock.monotonic, log_outage)
                self._pollers[route.path] = Poller(route, follows, wanted, clock, counters, outages)

    async def start(self) -> None:
        """Starts the pollers; nothing is asked before somebody wants it."""
        self._polls.start()
        self.proxy.start()
        if self._leases is not None:
            self._supervisor.run("leases", self._leases.run)
        for path, poller in self._pollers.items():
            self._supervisor.run(f"poller of {path}", poller.run)

    async def close(self) -> None:
        """Ends the pollers, answers everybody who waits for one with an error, and closes all connections.

        Closing twice, or before `start`, does nothing.
        """
        await self._supervisor.close()
        if self._leases is not None:
            # What can't be given back runs out by itself.
            with contextlib.suppress(LogError, TimeoutError):
                async with asyncio.timeout(self._release_seconds):
                    await self._leases.release_all()
        for poller in self._pollers.values():
            poller.close()
        await self.proxy.close()
        await self._polls.close()
        await self._functions.close()

    def server(self, route: LegacyRoute) -> Server:
        """What is known of reaching a route's upstream."""
        return self._servers[address_of(route.url)]

    def poller(self, route: LegacyRoute) -> Poller | None:
        """The poller of a shared route; None for any other."""
        return self._pollers.get(route.path)

    def shared(self) -> Mapping[str, tuple[bool, Mapping[SharedCount, int]]]:
        """Of each route that nodes share, by path: whether this node asks, and its SharedTracker's counts."""
        return {path: (tracker.is_leading, tracker.counts) for path, tracker in self._shared.items()}

    def requests_of(self, component: str) -> int:
        """How often a component's upstreams were asked on everybody's behalf."""
        return sum(self.counters[route.path].polls for route in self.routes if route.component == component)

    def wake(self) -> None:
        """Tells the pollers that somebody new may want their results. Costs nothing where nobody does."""
        for poller in self._pollers.values():
            poller.wake()

    def health(self) -> list[RouteHealth]:
        """How each shared route's upstream is, in the order of the configuration."""
        return [poller.health() for poller in self._pollers.values()]
