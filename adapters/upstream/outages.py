"""What log lines say of upstreams that fail, and how seldom (gateway/runtime/outage.py).

A server that is out of reach is one outage, however many routes lead there. An answer that can't be used is
the route's own.
"""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from yarl import URL

from adapters.upstream.failures import BadAnswer, is_no_such_list, is_out_of_reach, kind_of
from gateway.core.errors import LogError, TidegateError
from gateway.ports.legacy_route import LegacyRoute
from gateway.runtime.logs import log_event
from gateway.runtime.outage import REMINDER_SECONDS, Outage

_log = logging.getLogger(__name__)

CALM_SECONDS = 10.0
"""How long no forwarded request may have failed before one that succeeds is the end of their outage.

Many are under way at a time, and an upstream that serves some of them and fails others would otherwise give
two lines for each.
"""
_FORWARDED = "forwarded"


class Server:
    """What is known of reaching the server at one address, whichever routes lead there."""

    def __init__(self, address: str, now: Callable[[], float]) -> None:
        self.outage = Outage(_log, "upstream", now=now, address=address)
        self._now = now
        self._forward_failed_at = -math.inf

    def forward_failed(self, route: LegacyRoute, error: TidegateError) -> None:
        """A request that went through got no answer, or none to its end."""
        self._forward_failed_at = self._now()
        self.outage.failed(by=_FORWARDED, **_fields(route), **_what(error))

    def forwarded(self) -> None:
        """A request that went through was answered, whatever the answer is."""
        if self.outage.lasts and self._now() - self._forward_failed_at >= CALM_SECONDS:
            self.outage.over(by=_FORWARDED)


class RouteOutages:
    """The outages of one polled route: its server's, shared with others, and its own answers'.

    While `log_outage` says so of the log, there is nothing to say of it here; else a line a minute
    (`upstream_held_up`) tells that the log takes nothing from this route. `answers` is what the lists of one
    route share, by default its own.
    """

    def __init__(
        self,
        route: LegacyRoute,
        server: Server,
        now: Callable[[], float],
        log_outage: Outage | None = None,
        answers: Outage | None = None,
    ) -> None:
        self._route = route
        self._server = server.outage
        self._now = now
        self._log_outage = log_outage
        self._held_up_at: float | None = None
        self._is_unusable = False
        self._answers = answers or answers_outage(route, now)

    def failed(self, error: TidegateError) -> None:
        """The upstream gave nothing to use, or the log did not take what it gave."""
        if isinstance(error, LogError):
            self._held_up(error)
            return
        self._held_up_at = None
        if is_out_of_reach(error):
            self._server.failed(by=self._route.name, **_fields(self._route), **_what(error))
            return
        if isinstance(error, BadAnswer):
            self._server.over(by=self._route.name)
        self._is_unusable = False
        if not is_no_such_list(self._route, error):
            self._answers.failed(by=self._route.name, **_what(error))

    def unusable(self, error: BadAnswer) -> None:
        """The upstream gave an answer that is served, and can't be compared: one line, and no reminders."""
        self._held_up_at = None
        self._server.over(by=self._route.name)
        if not (self._is_unusable and self._answers.is_told):
            self._is_unusable = True
            self._answers.failed(by=self._route.name, **_what(error))

    def over(self) -> None:
        """The upstream gave an answer that can be used."""
        self._held_up_at = None
        self._is_unusable = False
        self._server.over(by=self._route.name)
        self._answers.over(by=self._route.name)

    def rest(self) -> None:
        """Nobody asks for now: whether the server is back is for the others to say.

        So it is with the answers, where the list is one of several.
        """
        self._server.forget(self._route.name)
        if self._route.is_one_of_many:
            self._answers.forget(self._route.name)

    def _held_up(self, error: LogError) -> None:
        now = self._now()
        if self._held_up_at is None or (self._log_outage is not None and self._log_outage.lasts):
            self._held_up_at = now
        elif now - self._held_up_at >= REMINDER_SECONDS:
            self._held_up_at = now
            fields = _fields(self._route)
            log_event(_log, logging.WARNING, "upstream_held_up", **fields, detail=error.detail)


def answers_outage(route: LegacyRoute, now: Callable[[], float]) -> Outage:
    """What is told of the answers of a route, all of its lists together."""
    return Outage(_log, "upstream", now=now, address=address_of(route.url), **_fields(route))


def servers_of(routes: Sequence[LegacyRoute], now: Callable[[], float]) -> dict[str, Server]:
    """The servers of all routes, by address; `now` gives monotonic seconds."""
    return {address: Server(address, now) for address in {address_of(route.url) for route in routes}}


def address_of(url: URL) -> str:
    """Scheme, host and port of an upstream: what a log line may say of its URL."""
    return f"{url.scheme}://{url.host_subcomponent}:{url.port}"


def _fields(route: LegacyRoute) -> dict[str, Any]:
    return {"component": route.component, "path": route.path}


def _what(error: TidegateError) -> dict[str, Any]:
    cause = None if error.__cause__ is None else type(error.__cause__).__name__
    return {"kind": kind_of(error), "detail": error.detail, "cause": cause}
