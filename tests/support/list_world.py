"""The lists of one route, over answers that a test gives."""

from collections.abc import Callable
from typing import Any

from adapters.memory import MemoryLog
from adapters.upstream.dropped_bases import Gap
from adapters.upstream.lists import Lists, PolledList
from gateway.core.events import ORIGIN
from gateway.ports.legacy_lists import ListName
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters
from gateway.runtime.supervisor import Supervisor
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route
from tests.support.loop import let_others_run
from tests.support.polled import Polled
from tests.support.wanted_rows import Rows

INTERVAL_SECONDS = 2.0


class ListWorld:
    """A route's lists, those who ask for them, and the rows that streams want."""

    def __init__(self, clock: ManualClock, log: MemoryLog, **settings: Any) -> None:
        self.clock = clock
        self.log = log
        self.rows = Rows()
        self.tasks = Supervisor()
        self.counters = RouteCounters()
        self.made: dict[str, list[Polled]] = {}
        route = legacy_route(interval_seconds=INTERVAL_SECONDS, stale_if_error_seconds=1e6, **settings)
        self.lists = Lists(route, self._make, self.tasks, self.rows, self.counters, clock)
        self.lists.start()

    def _make(self, route: LegacyRoute, on_unwanted: Callable[[], None], has_gap: bool) -> PolledList:
        values = tuple(route.members.values())
        polled = Polled(
            self.clock, route, lambda entity: bool(values) and values in self.rows.wanted, on_unwanted
        )
        self.made.setdefault(route.name, []).append(polled)
        return PolledList(route, polled.poller, None, Gap(route, self.log, self.clock, is_open=has_gap))

    def ask(self, *values: str, variant: str = "") -> PolledList | None:
        """A caller asks for a list."""
        one = self.lists.find(ListName(values, variant))
        if one is not None:
            one.poller.at_once()
        return one

    async def asked(self, *values: str, variant: str = "") -> PolledList:
        """The same, and the upstream answers where it is asked."""
        one = self.ask(*values, variant=variant)
        assert one is not None
        await let_others_run()
        if self.made[one.route.name][-1].answers.is_asked:
            await self.answers(one)
        return one

    async def answers(self, one: PolledList, outcome: bool | Exception = True) -> None:
        """The poll of a list that is under way ends like that."""
        await self.made[one.route.name][-1].answers.end(outcome)
        await let_others_run()

    async def all_leave(self) -> None:
        """The callers have gone, and every poller has seen that."""
        self.clock.advance(10 * INTERVAL_SECONDS)
        for one in self.lists:
            one.poller.wake()
        await let_others_run()

    @property
    def names(self) -> list[str]:
        return [one.route.name.rsplit("/", 1)[-1] for one in self.lists]

    async def gaps(self) -> list[tuple[str | None, Any]]:
        records = await self.log.read(ORIGIN, 1000)
        return [(record.event.event_type, (record.event.data or {}).get("customer")) for record in records]
