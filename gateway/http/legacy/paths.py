"""The paths that pollers call today (docs/protocol.md, section 7).

A shared list is answered from the one snapshot that the gateway keeps of it; everything else goes through to
the upstream.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from gateway.core.errors import UpstreamError
from gateway.core.events import scoped
from gateway.http.admittance import query_beside_token
from gateway.http.answer import Answer, AtOnce
from gateway.http.client_address import Clients
from gateway.http.legacy.answers import Repeated, SnapshotAnswers, given_answer
from gateway.http.legacy.fields import query_of, stream_link
from gateway.http.legacy.forwarding import Forwarding
from gateway.http.long_answers import LongAnswers
from gateway.http.principal import principal_of
from gateway.http.request_head import PlainHead, RequestHead
from gateway.http.terms import Terms
from gateway.ports.legacy_lists import members_in
from gateway.ports.legacy_route import PARAMETER, LegacyRoute
from gateway.ports.upstreams import HeldBack, SharedList, UpstreamAnswered, Upstreams

FindList = Callable[[LegacyRoute, str, str], SharedList | None]

_READS = frozenset({"GET", "HEAD"})

READ_ROUTE = web.RequestKey("read_route", LegacyRoute)
"""The route whose path a request reads, with either end, if perhaps in vain."""

PASSED_ON = web.RequestKey("passed_on", bool)
"""There for a request that was answered as the upstream answered the gateway, or with that it did not."""


class LegacyTerms(Protocol):
    """What answers to a request for a component, and its rows of these members, say of polling it.

    Both raise Retired where that is over.
    """

    async def legacy(self, request: RequestHead, component: str, members: Mapping[str, str]) -> Terms: ...

    def legacy_at_once(
        self, request: RequestHead, component: str, members: Mapping[str, str]
    ) -> Terms | None:
        """The same without waiting; None where that can't be."""
        ...


def add_legacy_routes(
    app: web.Application,
    source: Upstreams,
    terms_of: LegacyTerms,
    now: Callable[[], str],
    clients: Clients,
    long_answers: LongAnswers,
) -> dict[Handler, AtOnce]:
    """Registers every route of `source`, its path with a slash more or less at the end, and what lies below.

    Reads of the list carry what `terms_of` says, or are refused as it says. `now` gives the cursor of now.
    `clients` tells upstreams who asks. Gives what answers reads of lists at once, by the handlers that wait.
    The server has to run with `handler_cancellation`: it is how a caller's going away ends what was asked
    for it.
    """
    paths = {route.path for route in source.routes}
    at_once: dict[Handler, AtOnce] = {}
    for route in sorted(source.routes, key=_place):
        path = _Path(route, source, terms_of, now, clients, long_answers)
        app.router.add_route("*", _pattern(route.path), path.list)
        at_once[path.list] = path.at_once
        other = with_other_end(route.path)
        if other and other not in paths:
            app.router.add_route("*", _pattern(other), path.with_other_end)
        app.router.add_route("*", _pattern(route.path).rstrip("/") + "/{below:.*}", path.below)
    return at_once


def _pattern(path: str) -> str:
    """What the router takes. Any text may stand for a parameter: what is of no use here goes through."""
    return re.sub(PARAMETER, r"{\1:[^/]*}", path)


def _place(route: LegacyRoute) -> tuple[int, list[bool]]:
    """Where a route stands among those that a path may match: the first of them counts.

    One with more steps first, so that a route below another one is not taken for a part of it; of as many,
    that which says more of them, from the left.
    """
    steps = route.path.split("/")
    return -len(steps), [re.fullmatch(PARAMETER, step) is not None for step in steps]


class _Path:
    """The handlers of one route."""

    def __init__(
        self,
        route: LegacyRoute,
        source: Upstreams,
        terms_of: LegacyTerms,
        now: Callable[[], str],
        clients: Clients,
        long_answers: LongAnswers,
    ) -> None:
        self._route = route
        self._source = source
        self._counters = source.counters[route.path]
        self._terms_of = terms_of
        self._now = now
        self._segments = route.path.rstrip("/").count("/") + 1
        self._repeated = Repeated()
        # Others come and go, and which of them a request is about is for the route's source to say.
        self._lists_are_one = not (route.parameters or route.vary_query or route.ignore_query)
        self._forwarding = Forwarding(route, source, clients)
        self._with_other_end = Forwarding(_with_end_of(route), source, clients)
        self._answers = SnapshotAnswers(self._counters, self._forwarding.fields_of, long_answers)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """The path itself. A read of a shared list is answered from its snapshot.

        It goes through where it would have to wait for a poll that shows the last write, and that is put off,
        and where the upstream's answer depends on what this request says and the poll does not.
        """
        if request.method not in _READS:
            return await self._forwarding.forward(request, "")
        request[READ_ROUTE] = self._route
        terms = await self._terms(request)
        of = self._list_for(request, self._source.list_of)
        if of is None:
            return await self._forwarding.forward(request, "", self._said_of_polling(request, terms))
        served = of.at_once()
        if served is None:
            try:
                served = await of.answer()
            except UpstreamError as error:
                request[PASSED_ON] = True
                if not isinstance(error, UpstreamAnswered):
                    raise
                if self._answers.is_given_to(request, of, error.answer):
                    return given_answer(error.answer, terms)
                said = self._said_of_polling(request, terms)
                return await self._forwarding.forward(request, "", said, "vary-miss")
            except HeldBack as held:
                said = self._said_of_polling(request, terms)
                return await self._forwarding.forward(request, "", said, held.reason)
            self._counters.waited += 1
        if not self._answers.is_for(request, of, served.snapshot):
            said = self._said_of_polling(request, terms)
            return await self._forwarding.forward(request, "", said, "vary-miss")
        return await self._answers.answer(request, of, served, terms)

    def at_once(self, request: PlainHead) -> Answer | None:
        """The answer to a GET of the path itself; None where `list` has to wait, or takes it through.

        Raises Retired. Pollers ask the same again and again: what was found for them last holds while the
        snapshot and their terms do.
        """
        request[READ_ROUTE] = self._route
        last = self._repeated.get(request)
        members = {} if last is not None else members_in(self._route, request.rel_url.raw_path)
        terms = self._terms_of.legacy_at_once(request, self._route.component, members)
        if terms is None:
            return None
        if last is not None and last.terms == terms and _is_shared_with(request, self._route):
            served = last.of.at_once()
            if served is not None and served.snapshot is last.snapshot:
                return self._answers.made(last, served)
        # A list that is not there yet has no answer. Whoever waits for one makes it, and is counted.
        of = self._list_for(request, self._source.known_list)
        served = None if of is None else of.at_once()
        if of is None or served is None or not self._answers.is_short(served):
            return None
        if not self._answers.is_for(request, of, served.snapshot):
            return None
        verdict = self._answers.verdict(request, of, served.snapshot, terms)
        # Notes of those who are alike are there from the second time on; what comes once is not remembered.
        if self._lists_are_one and request.alike and not self._answers.varies(of, served.snapshot):
            self._repeated.put(request, verdict)
        return self._answers.made(verdict, served)

    async def with_other_end(self, request: web.Request) -> web.StreamResponse:
        """The path with a slash more or less at its end, which goes through with that end.

        Only the upstream knows whether it is the same, something else or nothing. A read of it is on the
        terms of the path itself all the same, or it would go on where that is over.
        """
        said = None
        if request.method in _READS:
            request[READ_ROUTE] = self._route
            said = self._said_of_polling(request, await self._terms(request))
        return await self._with_other_end.forward(request, "", said)

    async def below(self, request: web.Request) -> web.StreamResponse:
        """Any path below. It is cut out of the path as it came: a router's view of it is decoded."""
        segments = request.rel_url.raw_path.split("/")[self._segments :]
        return await self._forwarding.forward(request, "".join(f"/{segment}" for segment in segments))

    async def _terms(self, request: web.Request) -> Terms:
        members = members_in(self._route, request.rel_url.raw_path)
        return await self._terms_of.legacy(request, self._route.component, members)

    def _list_for(self, request: RequestHead, find: FindList) -> SharedList | None:
        """The list that answers a read; None where it goes through."""
        if not _is_shared_with(request, self._route):
            return None
        query = query_beside_token(request)
        return find(self._route, request.rel_url.raw_path, query)

    def _said_of_polling(self, request: web.Request, terms: Terms) -> CIMultiDict[str]:
        """The fields of a read that goes through. Called before the upstream is asked.

        The stream that they name then may repeat what the answer shows, and misses nothing. It is named to
        those alone who get the same of it.
        """
        said = CIMultiDict([("Fetch-Mode", terms.mode), *terms.fields])
        if _may_stream(request, self._route):
            members = members_in(self._route, request.rel_url.raw_path)
            now = scoped(self._now(), terms.scope)
            said["Link"] = stream_link(self._route.entity, members, now, query_of(terms))
        return said


def with_other_end(path: str) -> str:
    """A path with a slash more at its end, or without the one that it has; "" for the root's."""
    return path[:-1] if path.endswith("/") else f"{path}/"


def _with_end_of(route: LegacyRoute) -> LegacyRoute:
    """The route with the address that the upstream has for the other end of the path."""
    address, mark, query = route.upstream.partition("?")
    end = "" if route.path.endswith("/") else "/"
    return replace(route, upstream=f"{address.rstrip('/')}{end}{mark}{query}")


def _is_shared_with(request: RequestHead, route: LegacyRoute) -> bool:
    """Whether the request is one for what everybody gets: one that sees all, and says nothing in a body."""
    scope = principal_of(request).scope
    return route.shared and (scope is None or scope.covers_type(route.entity)) and not request.body_exists


def _may_stream(request: web.Request, route: LegacyRoute) -> bool:
    """Whether a stream of the route's entities stands for what the caller polls.

    Where answers are the caller's own its stream is as well; where they are everybody's it has to see all.
    """
    scope = principal_of(request).scope
    if scope is None:
        return True
    return scope.covers_type(route.entity) if route.shared else scope.may_see(route.entity)
