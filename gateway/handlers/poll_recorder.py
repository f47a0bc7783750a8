"""Notes who polls, from the answers that go out (flags/inventory.py)."""

from collections.abc import Iterable, Mapping, Sequence

from aiohttp import web

from adapters.upstream import LegacyRoute
from flags.client_label import client_label
from gateway.clock import Clock
from gateway.handlers.selection import POLL_PATH, parse_selection
from gateway.pollers import Pollers

_POLLED = frozenset({200, 304, 410})
"""Answers to a poll. Whoever gets 410 still polls, and is whom the inventory is for."""
_READS = frozenset({"GET", "HEAD"})


class PollRecorder:
    """Watches the poll and the legacy paths. `owned` are the entity types of each component."""

    def __init__(
        self,
        pollers: Pollers,
        clock: Clock,
        routes: Sequence[LegacyRoute],
        owned: Mapping[str, frozenset[str]],
        id_aliases: Mapping[str, str],
    ) -> None:
        self._pollers = pollers
        self._clock = clock
        self._routes = {route.path: route for route in routes}
        self._owned = owned
        self._id_aliases = id_aliases

    async def note(self, request: web.Request, response: web.StreamResponse) -> None:
        """Counts the request where it polls. For `Application.on_response_prepare`."""
        if response.status not in _POLLED or request.method not in _READS:
            return
        route = self._routes.get(request.path)
        if route is not None:
            from_snapshot = route.shared and not request.rel_url.raw_query_string
            self._count(request, (route.component,), from_snapshot)
        elif request.path == POLL_PATH:
            self._count(request, self._components(request), True)

    def _count(self, request: web.Request, components: Iterable[str], from_snapshot: bool) -> None:
        label = client_label(request.headers.get("Tidegate-Client"), request.headers.get("User-Agent"))
        now = self._clock.monotonic()
        for component in components:
            self._pollers.polled(component, label, now, from_snapshot=from_snapshot)

    def _components(self, request: web.Request) -> Iterable[str]:
        """Those that the caller names; else every one that owns a type it could receive."""
        selection = parse_selection(request, self._id_aliases)
        return selection.components or [
            component
            for component, entity_types in self._owned.items()
            if any(selection.selector.may_receive(entity_type) for entity_type in entity_types)
        ]
