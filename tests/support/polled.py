"""A poller that follows answers as a test gives them."""

import asyncio
from collections.abc import Callable

from multidict import CIMultiDict

from adapters.upstream.failures import BadAnswer
from adapters.upstream.outages import RouteOutages, Server
from adapters.upstream.poller import Poller
from adapters.upstream.reading.items import Items
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters
from gateway.ports.upstreams import GivenAnswer, Snapshot, UpstreamAnswered
from tests.support.clock import ManualClock
from tests.support.comparing import extract
from tests.support.legacy import legacy_route, listed, order
from tests.support.loop import let_others_run, until

ROUTE = legacy_route(interval_seconds=3600.0, stale_if_error_seconds=1e6, write_poll_seconds=0.0)
"""Any write may bring forward a poll."""


class Unusable(BadAnswer):
    """The upstream's answer can't be compared, and is to be served all the same."""

    is_kept = True

    def __init__(self) -> None:
        super().__init__("not_json", "The upstream's answer is not JSON.")


class Answered(BadAnswer, UpstreamAnswered):
    """The upstream's answer is no list."""

    def __init__(self, status: int = 429, retry_after_seconds: float | None = None, **fields: str) -> None:
        headers = CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})
        answer = GivenAnswer(status, headers, b"no", retry_after_seconds)
        UpstreamAnswered.__init__(self, f"The upstream answered with status {status}.", answer)
        self.kind = "status"


class Answers:
    """What a poller follows. Each poll waits until the test lets it end, with an answer or an error."""

    def __init__(self, clock: ManualClock) -> None:
        self.snapshot: Snapshot | None = None
        self.unusable: Snapshot | None = None
        self.unusable_from_now = False
        """Polls that end well take over an answer that another node could not compare."""
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
        try:
            taken = await self._ends
        except BadAnswer as error:
            if error.is_kept:
                self.unusable = self._snapshot(asked_at, problem=error.kind)
            raise
        if taken and self.unusable_from_now:
            self.unusable = self._snapshot(asked_at, problem="not_json")
        elif taken:
            self.has_begun = True
            self.snapshot, self.unusable = self._snapshot(asked_at), None
        return taken

    def _snapshot(self, asked_at: float, problem: str | None = None) -> Snapshot:
        body = listed(order(len(self.fresh)))
        received_at = self._clock.monotonic()
        return Snapshot(
            body, "", CIMultiDict(), '"e"', True, {}, asked_at, received_at, "e.1-0", problem=problem
        )

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

    def __init__(
        self,
        clock: ManualClock,
        route: LegacyRoute = ROUTE,
        wanted: Callable[[str], bool] = lambda entity: False,
        on_unwanted: Callable[[], None] = lambda: None,
    ) -> None:
        self.answers = Answers(clock)
        self.counters = RouteCounters()
        server = Server("http://127.0.0.1:9000", clock.monotonic)
        outages = RouteOutages(route, server, clock.monotonic)
        self.poller = Poller(
            route,
            self.answers,
            wanted,
            clock,
            self.counters,
            outages,
            draw=lambda low, high: high,
            on_unwanted=on_unwanted,
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
