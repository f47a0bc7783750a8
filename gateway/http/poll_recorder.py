"""Notes who polls, and what came of it, from the answers that go out."""

from collections.abc import Callable, Iterable, Mapping

from flags.decide.caller import Caller
from flags.decide.flag import Flags
from flags.guard.client_label import client_label
from flags.guard.window import GuardWindow
from gateway.core.errors import ClientError
from gateway.core.recent import Recent
from gateway.core.selectors import Selector
from gateway.http.legacy.forwarding import FORWARDED
from gateway.http.legacy.paths import READ_ROUTE
from gateway.http.principal import PRINCIPAL
from gateway.http.request_head import ReplyHead, RequestHead
from gateway.http.selection import EVENTS_PATH, POLL_PATH, Selections
from gateway.http.sessions import CALLER
from gateway.migration.poll_inventory import PollInventory
from gateway.ports.clock import Clock

_POLLED = frozenset({200, 204, 304, 404, 410})
"""Answers to a poll, those of empty lists among them.

Whoever gets 410 still polls, and is whom the inventory is for.
"""
_READS = frozenset({"GET", "HEAD"})
_FAILED = 500
_KEPT = 2048
_SMALL = 16
"""Of so many values at most a selection is remembered: callers select as they like, up to a thousand."""


class PollRecorder:
    """Watches the poll, the opening of streams and the legacy paths.

    Polls go to the inventory (flags/guard/inventory.py), and how many of all these answers failed, with a
    status of 500 or more, to the guard: to the window of the component, where there is one. `owned` are the
    entity types of each component. Of components with a flag it is counted which callers have a key for it.
    """

    def __init__(
        self,
        poll_inventory: PollInventory,
        window_of: Callable[[str], GuardWindow | None],
        clock: Clock,
        owned: Mapping[str, frozenset[str]],
        selections: Selections,
        flags: Callable[[], Flags],
    ) -> None:
        self._poll_inventory = poll_inventory
        self._window_of = window_of
        self._clock = clock
        self._owned = owned
        self._selections = selections
        self._flags = flags
        self._receiving: Recent[Selector, list[str]] = Recent(_KEPT)

    def note(self, request: RequestHead, response: ReplyHead) -> None:
        """Counts the answer to a read of these paths."""
        # Who was not let in neither polls nor says how polling goes.
        if request.method not in _READS or PRINCIPAL not in request:
            return
        route = request.get(READ_ROUTE)
        if route is not None:
            components: Iterable[str] = (route.component,)
            from_snapshot = not request.get(FORWARDED)
        elif request.path in (POLL_PATH, EVENTS_PATH):
            components, from_snapshot = self._components(request), True
        else:
            return
        now = self._clock.monotonic()
        failed = int(response.status >= _FAILED)
        caller: Caller | None = request.get(CALLER)
        flags = self._flags() if caller is not None else None
        for component in components:
            window = self._window_of(component)
            if window is not None:
                window.served(1 - failed, failed, now)
            flag = flags.get(component) if flags is not None else None
            if flag is not None and caller is not None:
                keyed = caller.key(flag.stickiness) is not None
                self._poll_inventory.came(component, now, keyed=keyed)
        if response.status in _POLLED and request.path != EVENTS_PATH:
            headers = request.headers
            label = client_label(headers.get("Tidegate-Client"), headers.get("User-Agent"))
            for component in components:
                self._poll_inventory.polled(component, label, now, from_snapshot=from_snapshot)

    def _components(self, request: RequestHead) -> Iterable[str]:
        """Those that the caller names; else every one that owns a type it could receive.

        None where the selection is what the request was refused for.
        """
        try:
            selection = self._selections.of(request)
        except ClientError:
            return ()
        if selection.components:
            return selection.components
        selector = selection.selector
        known = self._receiving.get(selector)
        if known is None:
            known = [
                component
                for component, entity_types in self._owned.items()
                if any(selector.may_receive(entity_type) for entity_type in entity_types)
            ]
            if selector.size <= _SMALL:
                self._receiving.put(selector, known)
        return known
