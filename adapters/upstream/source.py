"""The upstreams of all legacy routes: their pollers, their proxy, and how they are."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter

from cachetools import LRUCache

from adapters.upstream.answer_position import head_of
from adapters.upstream.asking.fetch import Polls
from adapters.upstream.asking.shared_poll import SharedPolls
from adapters.upstream.asking.tls import TlsContexts
from adapters.upstream.dropped_bases import Gap
from adapters.upstream.functions.runner import FunctionRunners
from adapters.upstream.lists import Lists, PolledList, Together
from adapters.upstream.nodes.shared_tracker import SharedTracker
from adapters.upstream.outages import RouteOutages, Server, address_of, answers_outage, servers_of
from adapters.upstream.poller import Follows, Poller
from adapters.upstream.proxy import Proxy
from adapters.upstream.reading.items import Items
from adapters.upstream.tracker import Tracker
from gateway.core.errors import LogError
from gateway.core.selected_values import selected_values
from gateway.core.selectors import Selector
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.legacy_lists import BASE, ListName, is_value, list_named, members_in
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.log import EventLog
from gateway.ports.route_counters import RouteCounters, RouteHealth, SharedCount
from gateway.ports.wanted import NoRows, WantedRows, rows_of
from gateway.runtime.outage import Outage
from gateway.runtime.slices import Slices
from gateway.runtime.supervisor import Supervisor

_ITEMS_CACHE_BYTES = 64 * 1024 * 1024
RELEASE_SECONDS = 1.0
"""How long closing waits for leases to be given back: a store that hangs must not hold up the stop."""


class UpstreamSource:
    """Polls the shared routes while wanted, publishes to `log` what changed, and forwards the rest.

    `wanted` says whether a subscriber could receive events of an entity type, and `rows` whether one could of
    rows that a path with parameters names. `is_over` says of a component that its callers no longer poll, so
    that events which come from elsewhere are no reason to ask. Of the nodes that share `leases` only one asks
    an upstream, and the others serve what it got. `log_outage` tells of the log's outages; long work takes
    its turns in `slices`. `close` waits `release_seconds` for leases to be given back. Modules of functions
    are looked for in the directory `modules` first. Raises ValueError where two routes have the same path or
    make events of one entity type, or a file for TLS can't be used.
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
        rows: WantedRows | None = None,
        is_over: Callable[[str], bool] = lambda component: False,
    ) -> None:
        if len({route.path for route in routes}) < len(routes):
            raise ValueError("two legacy routes have the same path")
        made = [route.entity for route in routes if route.shared and route.events == "poll"]
        if len(set(made)) < len(made):
            raise ValueError(
                "two legacy routes make events of one entity type: put the lists together with also, or say "
                'events = "none" of one'
            )
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
        self._supervisor = Supervisor()
        self._leases = leases
        self._release_seconds = release_seconds
        self._log = log
        self._wanted = wanted
        self._rows = rows or NoRows()
        self._is_over = is_over
        self._clock = clock
        self._log_outage = log_outage
        # What was read from answers can be read again, and is held as long as there is room.
        self._items: LRUCache[tuple[str, str], Items] = LRUCache(
            _ITEMS_CACHE_BYTES, getsizeof=attrgetter("size")
        )
        self._slices = slices
        self._lists: dict[str, Lists] = {}
        self._together: dict[str, Together] = {}
        for route in self.routes:
            if route.shared:
                counters = self.counters[route.path]
                together = Together(counters, Counter(), answers_outage(route, clock.monotonic))
                self._together[route.path] = together
                make = partial(self._make, together)
                self._lists[route.path] = Lists(*(route, make, self._supervisor, self._rows, counters, clock))

    async def start(self) -> None:
        """Starts the pollers; nothing is asked before somebody wants it."""
        self._polls.start()
        self.proxy.start()
        if self._leases is not None:
            self._supervisor.run("leases", self._leases.run)
        for lists in self._lists.values():
            lists.start()

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
        for lists in self._lists.values():
            lists.close()
        await self.proxy.close()
        await self._polls.close()
        await self._functions.close()

    def server(self, route: LegacyRoute) -> Server:
        """What is known of reaching a route's upstream."""
        return self._servers[address_of(route.url)]

    def poller(self, route: LegacyRoute) -> Poller | None:
        """The poller of a shared route's list; None for any other, and for a path with parameters."""
        lists = self._lists.get(route.path)
        return None if lists is None or lists.base is None else lists.base.poller

    def list_of(self, route: LegacyRoute, raw_path: str, raw_query: str) -> Poller | None:
        """The list that a read of the route's path asks for, None where the request goes through."""
        name = list_named(route, raw_path, raw_query) if route.shared else None
        return None if name is None else self.find(route, name)

    def known_list(self, route: LegacyRoute, raw_path: str, raw_query: str) -> Poller | None:
        """The same, None also where that list is not there yet: nothing is made, and nothing counted."""
        name = list_named(route, raw_path, raw_query) if route.shared else None
        one = None if name is None else self._lists[route.path].known(name)
        return None if one is None else one.poller

    def find(self, route: LegacyRoute, name: ListName) -> Poller | None:
        """One list of a shared route, None where there is no room for it. Ask it before anything else."""
        one = self._lists[route.path].find(name)
        return None if one is None else one.poller

    def lists_of(self, entity_type: str, selector: Selector) -> Sequence[tuple[LegacyRoute, ListName]]:
        """The lists that hold all that a selection asks for of a type; none where there are no such.

        They are those of the first route that makes or compares events of the type. Where its path has
        parameters the selection has to say their values, no more than there is room for.
        """
        routes = (route for route in self.routes if route.shared and route.events != "none")
        route = next((route for route in routes if route.entity == entity_type), None)
        if route is None:
            return ()
        if not route.parameters:
            return ((route, BASE),)
        rows = selected_values(selector, entity_type, route.parameters)
        named = [(route, ListName(values)) for values in rows if all(map(is_value, values))]
        return named if len(named) <= route.max_variants else ()

    def written(self, route: LegacyRoute, raw_path: str) -> None:
        """Something was, or may have been, written at that path, which is the route's or below it."""
        lists = self._lists.get(route.path)
        if lists is not None:
            lists.written(tuple(members_in(route, raw_path).values()))

    def shared(self) -> Mapping[str, tuple[bool, Mapping[SharedCount, int]]]:
        """Of each route that nodes share, by path: whether this node asks, and its SharedTrackers' counts."""
        if self._leases is None:
            return {}
        counts = {path: together.shared_counts for path, together in self._together.items()}
        return {path: (lists.is_leading, counts[path]) for path, lists in self._lists.items()}

    def asks(self, route: LegacyRoute) -> bool:
        """Whether it is this node that asks a shared route's upstream, as far as it knows."""
        return self._leases is None or self._lists[route.path].is_leading

    def list_counts(self) -> Mapping[str, int]:
        """How many lists each shared route has now, by its path."""
        return {path: sum(1 for _ in lists) for path, lists in self._lists.items()}

    def requests_of(self, component: str) -> int:
        """How often a component's upstreams were asked on everybody's behalf."""
        return sum(self.counters[route.path].polls for route in self.routes if route.component == component)

    def polls_of(self, component: str) -> tuple[int, int]:
        """How often a component's upstreams were asked on everybody's behalf, and how often in vain.

        An answer that can't be used is as good as none.
        """
        counters = [self.counters[route.path] for route in self.routes if route.component == component]
        failed = sum(one.failures.total() + one.bad_answers.total() for one in counters)
        return sum(one.polls for one in counters), failed

    def wake(self) -> None:
        """Tells the pollers that somebody new may want their results. Costs nothing where nobody does."""
        for lists in self._lists.values():
            lists.wake()

    def health(self) -> list[RouteHealth]:
        """How each shared route's upstream is, in the order of the configuration."""
        return [lists.health() for lists in self._lists.values()]

    def _make(
        self,
        together: Together,
        route: LegacyRoute,
        on_unwanted: Callable[[], None],
        has_gap: bool,
    ) -> PolledList:
        """The parts of one list."""
        counters = together.counters
        gap = Gap(route, self._log, self._clock, is_open=has_gap)
        asker = self._shared_polls.asker(route)
        make = partial(
            Tracker,
            *(route, self._log, asker, self._clock, self._items, counters, self._slices),
            functions=self._functions.of(route),
            outdate=asker.outdate,
            tell_gap=gap.tell,
        )
        shared = None
        if self._leases is not None:
            shared = SharedTracker(
                route, make, self._log, self._leases, self._clock, counts=together.shared_counts
            )
        follows: Follows = shared or make()
        server, now = self.server(route), self._clock.monotonic
        outages = RouteOutages(route, server, now, self._log_outage, together.answers)
        poller = Poller(
            *(route, follows, self._wanted_of(route), self._clock, counters, outages), on_unwanted=on_unwanted
        )
        return PolledList(route, poller, shared, gap)

    def _wanted_of(self, route: LegacyRoute) -> Callable[[str], bool]:
        """Whether somebody wants a list to be asked for beside those who poll it or ask for its state."""
        if route.events == "none":
            return lambda entity_type: False
        wanted = self._wanted
        if route.members:
            of, values = rows_of(route), tuple(route.members.values())
            rows = self._rows
            wanted = lambda entity_type: rows.wants_row(of, values)  # noqa: E731
        if route.events == "poll":
            return wanted
        return lambda entity_type: wanted(entity_type) and not self._is_over(route.component)
