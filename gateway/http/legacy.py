"""The paths that pollers call today (docs/protocol.md, section 7).

A shared list is answered from the one snapshot that the gateway keeps of it; everything else goes through to
the upstream.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.events import scoped
from gateway.http.client_address import Clients
from gateway.http.front_door import query_beside_token
from gateway.http.legacy_answers import SnapshotAnswers, given_answer
from gateway.http.legacy_fields import query_of, stream_link
from gateway.http.legacy_forwarding import Forwarding
from gateway.http.principal import principal_of
from gateway.http.terms import Terms
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import HeldBack, SharedList, UpstreamAnswered, Upstreams

_READS = frozenset({"GET", "HEAD"})

TermsOf = Callable[[web.Request, str], Awaitable[Terms]]
"""What answers to a request for a component say of polling it. Raises Retired where that is over."""


def add_legacy_routes(
    app: web.Application, source: Upstreams, terms_of: TermsOf, now: Callable[[], str], clients: Clients
) -> None:
    """Registers every route of `source`, its path with a slash more or less at the end, and what lies below.

    Reads of the list carry what `terms_of` says, or are refused as it says. `now` gives the cursor of now.
    `clients` tells upstreams who asks.
    The server has to run with `handler_cancellation`: it is how a caller's going away ends what was asked
    for it.
    """
    paths = {route.path for route in source.routes}
    # The longer path first, so that a route below another one is not taken for a part of it.
    for route in sorted(source.routes, key=lambda route: len(route.path), reverse=True):
        path = _Path(route, source, terms_of, now, clients)
        app.router.add_route("*", route.path, path.list)
        other = with_other_end(route.path)
        if other and other not in paths:
            app.router.add_route("*", other, path.with_other_end)
        app.router.add_route("*", route.path.rstrip("/") + "/{below:.*}", path.below)


class _Path:
    """The handlers of one route."""

    def __init__(
        self,
        route: LegacyRoute,
        source: Upstreams,
        terms_of: TermsOf,
        now: Callable[[], str],
        clients: Clients,
    ) -> None:
        self._route = route
        self._poller = source.poller(route)
        self._counters = source.counters[route.path]
        self._terms_of = terms_of
        self._now = now
        self._segments = route.path.rstrip("/").count("/") + 1
        self._forwarding = Forwarding(route, source, clients, self._written)
        self._with_other_end = Forwarding(_with_end_of(route), source, clients, self._written)
        self._answers = SnapshotAnswers(route, self._counters, self._forwarding.fields_of)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """The path itself. Without a query, a read of a shared route is answered from its snapshot.

        It goes through where it would have to wait for a poll that shows the last write, and that is put off,
        and where the upstream's answer depends on what this request says and the poll does not.
        """
        if request.method not in _READS:
            return await self._forwarding.forward(request, "")
        terms = await self._terms_of(request, self._route.component)
        of = self._list_for(request)
        if of is None:
            return await self._forwarding.forward(request, "", self._said_of_polling(request, terms))
        served = of.at_once()
        if served is None:
            try:
                served = await of.answer()
            except UpstreamAnswered as error:
                return given_answer(error.answer, terms)
            except HeldBack:
                said = self._said_of_polling(request, terms)
                return await self._forwarding.forward(request, "", said, "stale")
            self._counters.waited += 1
        if not self._answers.is_for(request, of, served.snapshot):
            said = self._said_of_polling(request, terms)
            return await self._forwarding.forward(request, "", said, "vary-miss")
        return await self._answers.answer(request, of, served, terms)

    async def with_other_end(self, request: web.Request) -> web.StreamResponse:
        """The path with a slash more or less at its end, which goes through with that end.

        Only the upstream knows whether it is the same, something else or nothing. A read of it is on the
        terms of the path itself all the same, or it would go on where that is over.
        """
        said = None
        if request.method in _READS:
            said = self._said_of_polling(request, await self._terms_of(request, self._route.component))
        return await self._with_other_end.forward(request, "", said)

    async def below(self, request: web.Request) -> web.StreamResponse:
        """Any path below. It is cut out of the path as it came: a router's view of it is decoded."""
        segments = request.rel_url.raw_path.split("/")[self._segments :]
        return await self._forwarding.forward(request, "".join(f"/{segment}" for segment in segments))

    def _list_for(self, request: web.Request) -> SharedList | None:
        """The list that answers a read; None where it goes through."""
        return self._poller if is_of_snapshot(request, self._route) else None

    def _written(self) -> None:
        if self._poller is not None:
            self._poller.written()

    def _said_of_polling(self, request: web.Request, terms: Terms) -> CIMultiDict[str]:
        """The fields of a read that goes through. Called before the upstream is asked.

        The stream that they name then may repeat what the answer shows, and misses nothing. It is named to
        those alone who get the same of it.
        """
        said = CIMultiDict([("Fetch-Mode", terms.mode), *terms.fields])
        if _may_stream(request, self._route):
            said["Link"] = stream_link(self._route, scoped(self._now(), terms.scope), query_of(terms))
        return said


def with_other_end(path: str) -> str:
    """A path with a slash more at its end, or without the one that it has; "" for the root's."""
    return path[:-1] if path.endswith("/") else f"{path}/"


def _with_end_of(route: LegacyRoute) -> LegacyRoute:
    """The route with the address that the upstream has for the other end of the path."""
    address, mark, query = route.upstream.partition("?")
    end = "" if route.path.endswith("/") else "/"
    return replace(route, upstream=f"{address.rstrip('/')}{end}{mark}{query}")


def is_of_snapshot(request: web.Request, route: LegacyRoute) -> bool:
    """Whether a read of the route is answered from its snapshot, which all of its callers share.

    What goes beyond the path, or has a body, is for the upstream to answer, and so is what not everybody may
    see.
    """
    scope = principal_of(request).scope
    sees_all = scope is None or scope.covers_type(route.entity)
    return route.shared and sees_all and not query_beside_token(request) and not request.body_exists


def _may_stream(request: web.Request, route: LegacyRoute) -> bool:
    """Whether a stream of the route's entities stands for what the caller polls.

    Where answers are the caller's own its stream is as well; where they are everybody's it has to see all.
    """
    scope = principal_of(request).scope
    if scope is None:
        return True
    return scope.covers_type(route.entity) if route.shared else scope.may_see(route.entity)
