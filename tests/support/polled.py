"""A poller that follows answers as a test gives them."""

import asyncio

from multidict import CIMultiDict

from adapters.upstream.items import Items
from adapters.upstream.outages import RouteOutages, Server
from adapters.upstream.poller import Poller
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import Snapshot
from tests.support.clock import ManualClock
from tests.support.comparing import extract
from tests.support.legacy import legacy_route, listed, order
from tests.support.loop import let_others_run, until

ROUTE = legacy_route(interval_seconds=3600.0, stale_if_error_seconds=1e6)


class Answers:
    """What a poller follows. Each poll waits until the test lets it end, with an answer or an error."""

    def __init__(self, clock: ManualClock) -> None:
        self.snapshot: Snapshot | None = None
        self.has_begun = False
        self.pace_seconds = ROUTE.interval_seconds
        self.fresh: list[bool] = []
        self.rests = 0
        self.begun_at = 0.0
        self._clock = clock
        self._ends: asyncio.Future[bool] | None = None

    async def poll(self, *, fresh: bool) -> bool:
        self.fresh.append(fresh)
        self.begun_at = asyncio.get_running_loop().time()
        asked_at = self._clock.monotonic()
        self._ends = asyncio.get_running_loop().create_future()
        taken = await self._ends
        if taken:
            self.has_begun = True
            body = listed(order(len(self.fresh)))
            self.snapshot = Snapshot(
                body, "", CIMultiDict(), '"e"', True, {}, asked_at, self._clock.monotonic(), "e.1-0"
            )
        return taken

    @property
    def is_asked(self) -> bool:
        """Whether a poll is under way."""
        return self._ends is not None and not self._ends.done()

    async def end(self, outcome: bool | Exception = True) -> None:
        """The poll under way ends like that."""
        assert self._ends is not None
        ends, self._ends = self._ends, None
        if isinstance(outcome, Exception):
            ends.set_exception(outcome)
        else:
            ends.set_result(outcome)
        await let_others_run()

    async def items_of(self, snapshot: Snapshot) -> Items:
        return extract(snapshot.body, ROUTE)

    async def rest(self) -> None:
        self.rests += 1


class Polled:
    """A poller at work, and what it follows."""

    def __init__(self, clock: ManualClock, route: LegacyRoute = ROUTE) -> None:
        self.answers = Answers(clock)
        self.counters = RouteCounters()
        server = Server("http://127.0.0.1:9000", clock.monotonic)
        outages = RouteOutages(route, server, clock.monotonic)
        self.poller = Poller(
            route,
            self.answers,
            lambda entity: False,
            clock,
            self.counters,
            outages,
            draw=lambda low, high: high,
        )

    async def polls(self, count: int) -> None:
        """Returns once so many have begun."""
        await until(lambda: len(self.answers.fresh) == count, f"poll {count} began")

    def shown(self) -> int | None:
        """The number of the poll from which a caller would be answered without waiting."""
        served = self.poller.at_once()
        if served is None:
            return None
        (key,) = extract(served.snapshot.body, ROUTE)
        return int(key)
