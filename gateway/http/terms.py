"""What a polled answer says of the polling itself: its mode, its end, what comes after it.

Deprecation is RFC 9745's, Sunset RFC 8594's, `successor-version` RFC 5829's.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import NamedTuple

from flags.decide.caller import Caller
from flags.decide.flag import Flag
from flags.decide.stages import Stage
from flags.errors import NotFound
from flags.store.revisions import RevisionHistory
from gateway.core.errors import ClientError
from gateway.core.filters import filter_of
from gateway.core.selectors import Selector
from gateway.http.caller import Callers
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead
from gateway.http.sessions import Sessions
from gateway.migration.components import STREAMING, Components
from gateway.migration.links import identity, state_link, state_url, stream_url

Revisions = Callable[[str], RevisionHistory]
"""A component's history. Raises flags.errors.NotFound."""


class Retired(ClientError):
    """Polling this is over (docs/protocol.md, section 8, stage `complete`).

    `successor` is the stream in its place, and `state` where the state is that a stream goes on from.
    """

    status = 410
    slug = "retired"
    title = "No longer polled"

    def __init__(self, successor: str, state: str) -> None:
        links = f'<{successor}>; rel="successor-version", {state_link(state)}'
        super().__init__(
            "This is not polled any more: open the stream that Link names; the state is at stateUrl.",
            headers={"Link": links, "Fetch-Mode": STREAMING},
            members={"stateUrl": state},
        )


class Terms(NamedTuple):
    """How a caller gets a component's events, and the header fields that say when polling ends.

    `identity` are the caller's own parameters of the stream that it may open instead, `scope` that of its
    cursors.
    """

    mode: str
    fields: tuple[tuple[str, str], ...] = ()
    identity: tuple[tuple[str, str], ...] = ()
    scope: str = ""


_FREE = Terms(STREAMING)
_EVERYTHING = Selector()
_NO_MEMBERS: Mapping[str, str] = MappingProxyType({})


class PollingTerms:
    """The terms of polling, as the flags are when it is asked."""

    def __init__(
        self, components: Components, callers: Callers, sessions: Sessions, revisions: Revisions
    ) -> None:
        self._components = components
        self._callers = callers
        self._sessions = sessions
        self._revisions = revisions
        self._began: dict[str, tuple[Flag, datetime | None]] = {}

    async def legacy(
        self, request: RequestHead, component: str, members: Mapping[str, str] = _NO_MEMBERS
    ) -> Terms:
        """The terms of one component for the caller of a legacy route. Raises Retired, and BadParameter.

        `members` are those of the rows that its path lists: what takes its place is about these alone.
        """
        settled = self._settled(request, component, members)
        if settled is not None:
            return settled
        caller = await self._sessions.caller(request, _EVERYTHING, (component,))
        return self._of_caller(request, component, caller)

    def legacy_at_once(
        self, request: RequestHead, component: str, members: Mapping[str, str] = _NO_MEMBERS
    ) -> Terms | None:
        """The same without waiting; None where somebody has to be asked."""
        settled = self._settled(request, component, members)
        if settled is not None:
            return settled
        caller = self._sessions.caller_at_once(request, _EVERYTHING, (component,))
        return None if caller is None else self._of_caller(request, component, caller)

    def _settled(self, request: RequestHead, component: str, members: Mapping[str, str]) -> Terms | None:
        """The terms where they are the same for every caller; None where they depend on who it is."""
        components = self._components
        if components.is_free(component):
            scope = principal_of(request).scope_text
            return _FREE._replace(scope=scope) if scope else _FREE
        if components.is_retired(component):
            rows = tuple(filter_of((name,), "eq", [text]) for name, text in sorted(members.items()))
            selector = Selector(filters=rows).narrowed(components.owned(component))
            caller = self._callers.identity(request)
            raise Retired(
                stream_url(selector, (component,), caller), state_url(selector, (component,), caller)
            )
        return None

    def _of_caller(self, request: RequestHead, component: str, caller: Caller) -> Terms:
        decision = self._components.decision(component, caller)
        fields, own = self.fields((component,)), tuple(identity(caller))
        return Terms(decision.mode.value, fields, own, principal_of(request).scope_text)

    def fields(self, belongs: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Deprecation and Sunset where one of the components is in `rampdown`: the earliest of each."""
        flags = self._components.in_rampdown(belongs)
        if not flags:
            return ()
        fields = []
        since = [began for flag in flags if (began := self._rampdown_began(flag)) is not None]
        if since:
            fields.append(("Deprecation", f"@{int(min(since).timestamp())}"))
        sunsets = [datetime.fromisoformat(flag.sunset) for flag in flags if flag.sunset is not None]
        if sunsets:
            fields.append(("Sunset", format_datetime(min(sunsets), usegmt=True)))
        return tuple(fields)

    def _rampdown_began(self, flag: Flag) -> datetime | None:
        known = self._began.get(flag.component)
        if known is None or known[0] is not flag:
            known = self._began[flag.component] = (flag, self._look_up(flag.component))
        return known[1]

    def _look_up(self, component: str) -> datetime | None:
        try:
            began = self._revisions(component).came_into(Stage.RAMPDOWN)
        except NotFound:
            return None
        return None if began is None else datetime.fromisoformat(began)
