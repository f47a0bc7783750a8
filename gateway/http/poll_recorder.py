"""Notes who polls, and what came of it, from the answers that go out."""

from collections.abc import Callable, Iterable, Mapping

from flags.decide.caller import Caller
from flags.decide.flag import Flags
from flags.guard.client_label import client_label
from gateway.core.errors import ClientError
from gateway.core.recent import Recent
from gateway.core.selectors import Selector
from gateway.http.legacy.forwarding import FORWARDED
from gateway.http.legacy.paths import PASSED_ON, READ_ROUTE
from gateway.http.limits import FULL
from gateway.http.principal import PRINCIPAL
from gateway.http.request_head import ReplyHead, RequestHead
from gateway.http.selection import EVENTS_PATH, POLL_PATH, Selections
from gateway.http.sessions import CALLER
from gateway.migration.caller_sides import key_of, side_of, who_of
from gateway.migration.components import Components
from gateway.migration.guard_windows import GuardWindows
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

_UNKNOWN = key_of(None, None, None)

AddressOf = Callable[[RequestHead], str | None]


class PollRecorder:
    """Watches the poll, the opening of streams and the legacy paths.

    Polls go to the inventory (flags/guard/inventory.py). Whose answer failed by the gateway's own fault, and
    whose did not, goes to the guard: to the window of the component, where there is one. What an upstream
    answered, or did not, is its own. `owned` are the entity types of each component. Of components with a
    flag it is counted which callers have a key for it. `address_of` gives where a request came from.
    """

    def __init__(
        self,
        poll_inventory: PollInventory,
        windows: GuardWindows,
        clock: Clock,
        owned: Mapping[str, frozenset[str]],
        selections: Selections,
        flags: Callable[[], Flags],
        components: Components,
        address_of: AddressOf,
    ) -> None:
        self._poll_inventory = poll_inventory
        self._windows = windows
        self._clock = clock
        self._owned = owned
        self._selections = selections
        self._flags = flags
        self._components = components
        self._address_of = address_of
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
            components, from_snapshot = self._receives(request), True
        else:
            return
        now = self._clock.monotonic()
        self._judge(request, response.status, components, now)
        if response.status in _POLLED and request.path != EVENTS_PATH:
            headers = request.headers
            label = client_label(headers.get("Tidegate-Client"), headers.get("User-Agent"))
            for component in components:
                self._poll_inventory.polled(component, label, now, from_snapshot=from_snapshot)

    def _judge(self, request: RequestHead, status: int, components: Iterable[str], now: float) -> None:
        """Notes how the caller fared, with each of the components that has a flag."""
        others = (PASSED_ON, FORWARDED, FULL)
        failed = status >= _FAILED and not any(request.get(key) for key in others)
        counts = failed or (status in _POLLED and request.path != EVENTS_PATH)
        caller: Caller | None = request.get(CALLER)
        flags = self._flags()
        key = None
        for component in components:
            flag = flags.get(component)
            if flag is None:
                continue
            if caller is not None:
                keyed = caller.key(flag.stickiness) is not None
                self._poll_inventory.came(component, now, keyed=keyed)
            if counts:
                window = self._windows.by(component, flag.guard)
                if key is None:
                    subject = request[PRINCIPAL].credentials.subject
                    key = key_of(subject, caller, None)
                    if key == _UNKNOWN:
                        # Asked for no others: finding it takes a look at the fields of proxies.
                        key = key_of(None, None, self._address_of(request))
                if not window.polled_again(key, now, failed=failed, decided_by=flag):
                    # Found once for each caller while the flag is this one.
                    who = who_of(subject, caller, self._address_of(request))
                    side = side_of(self._components.decision(component, caller or Caller()))
                    window.polled(who, side, now, failed=failed, decided_by=flag)

    def _receives(self, request: RequestHead) -> Iterable[str]:
        """The components that the caller names; else every one that owns a type it could receive.

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
