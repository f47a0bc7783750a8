"""The lists of one legacy route, each with a poller of its own: which there are, and which are dropped."""

import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from adapters.upstream.dropped_bases import DroppedBases, Gap
from adapters.upstream.nodes.shared_tracker import SharedTracker
from adapters.upstream.poller import Poller
from gateway.ports.clock import Clock
from gateway.ports.legacy_lists import BASE, ListName, is_value, route_of
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters, RouteHealth, SharedCount
from gateway.ports.wanted import Values, WantedRows, rows_of
from gateway.runtime.logs import log_event
from gateway.runtime.outage import REMINDER_SECONDS, Outage
from gateway.runtime.supervisor import Supervisor

_log = logging.getLogger(__name__)

_LOOKED_AT = 16
"""How many lists are looked at for one that may go: of those that were used longest ago."""


@dataclass(frozen=True, slots=True, eq=False)
class PolledList:
    """One list: its poller, what it does for other nodes, and what is missing before its first answer."""

    route: LegacyRoute
    poller: Poller
    shared: SharedTracker | None
    gap: Gap


class Together(NamedTuple):
    """What all lists of a route count, and tell of their answers, together."""

    counters: RouteCounters
    shared_counts: Counter[SharedCount]
    answers: Outage


Make = Callable[[LegacyRoute, Callable[[], None], bool], PolledList]
"""Makes a list of its route, of what is called when nobody wants it any more, and of whether it has a gap."""


class Lists:
    """The list of the path, which stays, and at most `max_variants` others, made when somebody asks for them.

    That of a query goes when nobody wants it any more. That of a path with parameters stays meanwhile, for
    its last answer is what the next one is compared with, and goes where there is no room for another: the
    one that was asked for longest ago first, and none that is wanted.

    Tasks run in `tasks`; `wanted` says which rows are wanted. A list that is found must be asked, or its
    poller told, before anything else is awaited: then it is wanted, and stays.
    """

    def __init__(
        self,
        route: LegacyRoute,
        make: Make,
        tasks: Supervisor,
        wanted: WantedRows,
        counters: RouteCounters,
        clock: Clock,
    ) -> None:
        self.route = route
        self._make = make
        self._tasks = tasks
        self._wanted = wanted
        self._counters = counters
        self._clock = clock
        self._row_members = rows_of(route)
        self._is_running = False
        self._dropped = DroppedBases()
        self._full_told_at = -math.inf
        # Wanted by streams or polls, and without a list since there was no room: what has changed since then
        # nobody can say.
        self._waiting: dict[Values, None] = {}
        self._others: OrderedDict[ListName, PolledList] = OrderedDict()
        self.base = None if route.parameters else make(route, lambda: None, False)
        """The list of a path without parameters."""

    def __iter__(self) -> Iterator[PolledList]:
        if self.base is not None:
            yield self.base
        yield from self._others.values()

    def start(self) -> None:
        """Starts the pollers; nothing is asked before somebody wants it."""
        self._is_running = True
        if self.base is not None:
            self._run(self.base)
        self.wake()

    def close(self) -> None:
        """Answers everybody who waits. The tasks have ended before."""
        self._is_running = False
        for one in self:
            one.poller.close()

    def known(self, name: ListName) -> PolledList | None:
        """The list of that name, None where there is none yet."""
        if name == BASE:
            return self.base
        one = self._others.get(name)
        if one is not None:
            self._others.move_to_end(name)
        return one

    def find(self, name: ListName) -> PolledList | None:
        """The list of that name, made where there is none; None where there is no room for it.

        The values of its name are ones that a path may have.
        """
        one = self.known(name)
        if one is not None or name == BASE or not self._is_running:
            return one
        if not self._has_room():
            self._refuse()
            return None
        route = route_of(self.route, name)
        has_gap = not name.variant and (name.values in self._waiting or self._dropped.take(name.values))
        one = self._make(route, lambda: self._rested(name), has_gap)
        self._others[name] = one
        self._run(one)
        return one

    def wake(self) -> None:
        """Somebody new may want the results. What that costs does not grow with how many lists there are."""
        if self.base is not None:
            self.base.poller.wake()
        if self.route.parameters and self.route.events != "none":
            self._serve(self._waiting)
            new = dict.fromkeys(self._wanted.take_new(self._row_members))
            if not self._waiting:
                self._serve(new)
            self._waiting.update(new)

    def written(self, values: Values) -> None:
        """Something was, or may have been, written through a path with these values, none without good ones.

        No list of the route answers with what it has. That of the path is asked for at once, the others when
        they are due, or somebody waits.
        """
        for name, one in ((BASE, self.base), *self._others.items()):
            if one is None:
                continue
            if name == (values, ""):
                one.poller.written()
            else:
                one.poller.outdate()

    def health(self) -> RouteHealth:
        """How the upstream is: down where it is for any of the lists, and unusable likewise."""
        healths = [one.poller.health() for one in self]
        for state in ("down", "unusable", "connected"):
            if found := next((health for health in healths if health.state == state), None):
                last_success = max((health.last_success or "" for health in healths), default="") or None
                return replace(found, path=self.route.path, last_success=last_success)
        idle = RouteHealth(self.route.component, self.route.path, "idle", None, None)
        return replace(healths[0], path=self.route.path) if healths else idle

    @property
    def is_leading(self) -> bool:
        """Whether this node asks for any of the lists."""
        return any(one.shared is not None and one.shared.is_leading for one in self)

    def _rested(self, name: ListName) -> None:
        """Nobody wants that list any more: there is room, of its own or for the taking."""
        if name.variant:
            self._drop(name)
        self._serve(self._waiting)

    def _serve(self, rows: dict[Values, None]) -> None:
        """Sees to it that these are polled, where they are wanted, and takes them out while there is room."""
        while rows:
            values = next(iter(rows))
            if self._wanted.wants_row(self._row_members, values) and all(map(is_value, values)):
                one = self.find(ListName(values))
                if one is None:
                    return
                one.poller.wake()
            del rows[values]

    def _has_room(self) -> bool:
        if len(self._others) < self.route.max_variants:
            return True
        for name, one in list(islice(self._others.items(), _LOOKED_AT)):
            if one.poller.is_at_rest:
                self._drop(name)
                return True
            # It is in use, if not by those who ask for it by name: the next look is at others.
            self._others.move_to_end(name)
        return False

    def _drop(self, name: ListName) -> None:
        one = self._others.pop(name)
        if one.route.events == "poll" and (one.gap.is_open or one.poller.has_answer):
            self._dropped.note(name.values)
            self._counters.bases_dropped += one.poller.has_answer
        one.poller.close()
        self._tasks.drop(_task_name(one))

    def _refuse(self) -> None:
        self._counters.lists_refused += 1
        now = self._clock.monotonic()
        if now - self._full_told_at >= REMINDER_SECONDS:
            self._full_told_at = now
            log_event(
                _log,
                logging.WARNING,
                "upstream_lists_full",
                component=self.route.component,
                path=self.route.path,
                max_variants=self.route.max_variants,
            )

    def _run(self, one: PolledList) -> None:
        self._tasks.run(_task_name(one), one.poller.run)


def _task_name(one: PolledList) -> str:
    return f"poller of {one.route.name}"
