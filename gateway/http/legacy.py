"""The paths that pollers call today (docs/protocol.md, section 7).

A shared list is answered from the one snapshot that the gateway keeps of it; everything else goes through to
the upstream.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote, urlencode

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.entity_tags import none_match
from gateway.core.errors import BodyTimeout, BodyTooLarge, ClientError, UpstreamError
from gateway.core.events import scoped
from gateway.http.client_address import Clients, is_of_forwarding
from gateway.http.front_door import query_beside_token
from gateway.http.principal import principal_of
from gateway.http.terms import Terms
from gateway.migration.links import EVENTS_PATH
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import SAFE_METHODS, Answer, Freshness, RequestBody, Served, Snapshot, Upstreams

_CACHE_STATUS = {
    Freshness.HIT: "tidegate; hit",
    Freshness.MISS: "tidegate; fwd=miss",
    Freshness.STALE: "tidegate; hit; fwd=stale",
}
_READS = frozenset({"GET", "HEAD"})
_MAX_TERMS = 16
_PART_BYTES = 65_536
"""How much of a snapshot is written at once; a caller that reads slowly has no more of it in memory."""
_PARTS_A_TURN = 8
"""To hand the kernel so many takes some tenths of a millisecond; of one that takes all there is no end."""


TermsOf = Callable[[web.Request, str], Awaitable[Terms]]
"""What answers to a request for a component say of polling it. Raises Retired where that is over."""


def add_legacy_routes(
    app: web.Application, source: Upstreams, terms_of: TermsOf, now: Callable[[], str], clients: Clients
) -> None:
    """Registers every route of `source`, and what lies below its path.

    Reads of the list carry what `terms_of` says, or are refused as it says. `now` gives the cursor of now.
    `clients` tells upstreams who asks.
    The server has to run with `handler_cancellation`: it is how a caller's going away ends what was asked
    for it.
    """
    # The longer path first, so that a route below another one is not taken for a part of it.
    for route in sorted(source.routes, key=lambda route: len(route.path), reverse=True):
        path = _Path(route, source, terms_of, now, clients)
        app.router.add_route("*", route.path, path.list)
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
        self._proxy = source.proxy
        self._poller = source.poller(route)
        self._server = source.server(route)
        self._counters = source.counters[route.path]
        self._terms_of = terms_of
        self._now = now
        self._clients = clients
        self._segments = route.path.rstrip("/").count("/") + 1
        self._headers: dict[Terms, _SnapshotHeaders] = {}

    async def list(self, request: web.Request) -> web.StreamResponse:
        """The path itself. Without a query, a read of a shared route is answered from its snapshot."""
        if request.method not in _READS:
            return await self._forward(request, "")
        terms = await self._terms_of(request, self._route.component)
        poller = self._poller
        if poller is None or not is_of_snapshot(request, self._route):
            return await self._forward(request, "", self._said_of_polling(request, terms))
        served = poller.at_once()
        if served is None:
            served = await poller.answer()
            self._counters.waited += 1
        return await self._of_snapshot(request, served, terms)

    async def below(self, request: web.Request) -> web.StreamResponse:
        """Any path below. It is cut out of the path as it came: a router's view of it is decoded."""
        segments = request.rel_url.raw_path.split("/")[self._segments :]
        return await self._forward(request, "".join(f"/{segment}" for segment in segments))

    async def _of_snapshot(self, request: web.Request, served: Served, terms: Terms) -> web.StreamResponse:
        if self._poller is not None and self._poller.listener is not None:
            self._poller.listener.served(served.snapshot)
        counters = self._counters
        counters.served += 1
        if served.freshness is Freshness.STALE:
            counters.served_stale += 1
        shared = terms._replace(identity=(), scope="") if terms.identity or terms.scope else terms
        headers = self._headers_of(shared)
        headers.bring_up_to(served)
        if "If-None-Match" in request.headers:
            field = ",".join(request.headers.getall("If-None-Match"))
            if none_match(field, served.snapshot.etag):
                counters.served_304 += 1
                return web.Response(status=304, headers=headers.for_caller(headers.not_modified, terms))
        body, fields = served.snapshot.body, headers.for_caller(headers.full, terms)
        if len(body) <= _PART_BYTES or request.method == "HEAD":
            return web.Response(body=body, headers=fields)
        return await _in_parts(request, body, fields)

    def _headers_of(self, terms: Terms) -> "_SnapshotHeaders":
        headers = self._headers.get(terms)
        if headers is None:
            if len(self._headers) >= _MAX_TERMS:
                self._headers.clear()
            headers = self._headers[terms] = _SnapshotHeaders(self._route, terms)
        return headers

    def _said_of_polling(self, request: web.Request, terms: Terms) -> CIMultiDict[str]:
        """The fields of a read that goes through. Called before the upstream is asked.

        The stream that they name then may repeat what the answer shows, and misses nothing. It is named to
        those alone who get the same of it.
        """
        said = CIMultiDict([("Fetch-Mode", terms.mode), *terms.fields])
        if _may_stream(request, self._route):
            said["Link"] = _link(self._route, scoped(self._now(), terms.scope), _query_of(terms))
        return said

    async def _forward(
        self, request: web.Request, tail: str, said: CIMultiDict[str] | None = None
    ) -> web.StreamResponse:
        """Takes the request through; a write that succeeded, or may have, brings the snapshot up to date.

        `said` are fields that the answer carries beside the upstream's own.
        """
        route, counters = self._route, self._counters
        outgoing = self._proxy.outgoing(
            route,
            tail,
            query_beside_token(request),
            _fields_of_caller(request),
            self._clients.fields_for_upstream(request),
            counters=counters,
        )
        body = _Body(request, route) if request.body_exists else None
        counters.forwarded += 1
        writes = request.method not in SAFE_METHODS
        answered = False
        try:
            async with self._proxy.request(route, request.method, outgoing, body) as answer:
                answered = True
                counters.fields_left_out += answer.fields_left_out
                self._server.forwarded()
                if writes and answer.status < 400:
                    self._written()
                return await self._relay(request, answer, said)
        except (UpstreamError, asyncio.CancelledError) as error:
            if not answered:
                if isinstance(error, UpstreamError):
                    self._server.forward_failed(route, error)
                counters.forward_failures += 1
                if writes:
                    # Nobody knows whether it was carried out before the answer got lost.
                    self._written()
            raise

    def _written(self) -> None:
        if self._poller is not None:
            self._poller.written()

    async def _relay(
        self, request: web.Request, answer: Answer, said: CIMultiDict[str] | None
    ) -> web.StreamResponse:
        headers = answer.headers
        if said is not None:
            # The upstream may have links of its own, as to the next page; of the others there is one.
            links = headers.getall("Link", [])
            headers.update(said)
            headers.extend(("Link", link) for link in links)
        # RFC 9211, section 2: each cache adds itself after those that are nearer to the origin.
        reason = "bypass" if request.method in SAFE_METHODS else "method"
        headers.add("Cache-Status", f"tidegate; fwd={reason}")
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        async with contextlib.aclosing(answer.chunks()) as chunks:
            while True:
                try:
                    chunk = await anext(chunks, None)
                except UpstreamError as error:
                    self._break_off(request, error)
                    return response
                if chunk is None:
                    break
                await response.write(chunk)
        await response.write_eof()
        return response

    def _break_off(self, request: web.Request, error: UpstreamError) -> None:
        """Ends the connection: the status is sent, and nothing else tells the caller that this is not all."""
        self._counters.broken_off += 1
        self._server.forward_failed(self._route, error)
        if request.transport is not None:
            request.transport.abort()


def is_of_snapshot(request: web.Request, route: LegacyRoute) -> bool:
    """Whether a read of the route is answered from its snapshot, which all of its callers share.

    What goes beyond the path is for the upstream to answer, and so is what not everybody may see.
    """
    scope = principal_of(request).scope
    sees_all = scope is None or scope.covers_type(route.entity)
    return route.shared and sees_all and not query_beside_token(request)


def _may_stream(request: web.Request, route: LegacyRoute) -> bool:
    """Whether a stream of the route's entities stands for what the caller polls.

    Where answers are the caller's own its stream is as well; where they are everybody's it has to see all.
    """
    scope = principal_of(request).scope
    if scope is None:
        return True
    return scope.covers_type(route.entity) if route.shared else scope.may_see(route.entity)


def _fields_of_caller(request: web.Request) -> list[tuple[str, str]]:
    """The fields that the upstream gets from the caller, its credentials among them.

    A static key is this gateway's secret, and of no use to anybody else.
    """
    is_by_key = principal_of(request).credentials.key is not None
    return [
        (name, value)
        for name, value in request.headers.items()
        if not is_of_forwarding(name) and not (is_by_key and name.lower() == "authorization")
    ]


async def _in_parts(request: web.Request, body: bytes, headers: CIMultiDict[str]) -> web.StreamResponse:
    """Answers with `body`, each part once there is room for it.

    In one piece aiohttp would copy it for each caller, and keep what the caller does not read.
    """
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    whole = memoryview(body)
    for number, start in enumerate(range(0, len(body), _PART_BYTES), 1):
        await response.write(whole[start : start + _PART_BYTES])
        if number % _PARTS_A_TURN == 0:
            # To wait for room is to wait for nothing where the caller reads as fast as this writes.
            await asyncio.sleep(0)
    await response.write_eof()
    return response


class _SnapshotHeaders:
    """The header fields of a route's answers of some terms, made once for all that have the same ones.

    `full` goes with a 200, `not_modified` with a 304. Callers copy them, as aiohttp's responses do.
    """

    def __init__(self, route: LegacyRoute, terms: Terms) -> None:
        self._terms = terms
        self._route = route
        self._snapshot: Snapshot | None = None
        self._freshness = Freshness.HIT
        self._age_seconds = 0
        self.full: CIMultiDict[str] = CIMultiDict()
        self.not_modified: CIMultiDict[str] = CIMultiDict()

    def bring_up_to(self, served: Served) -> None:
        """Makes the fields anew where they are not those of `served` already."""
        snapshot, freshness, age_seconds = served
        if snapshot is self._snapshot and age_seconds == self._age_seconds and freshness is self._freshness:
            return
        self._snapshot, self._freshness, self._age_seconds = snapshot, freshness, age_seconds
        own = {
            "ETag": snapshot.etag,
            "Cache-Control": "private, no-cache",
            "Sync-Cursor": snapshot.cursor,
            "Age": str(age_seconds),
            "Cache-Status": _CACHE_STATUS[freshness],
            "Fetch-Mode": self._terms.mode,
            "Link": _link(self._route, snapshot.cursor),
            **dict(self._terms.fields),
        }
        self.full = snapshot.headers.copy()
        self.full.extend(own)
        self.not_modified = CIMultiDict(own)
        # RFC 9110, section 15.4.5: a 304 repeats what a cache needs to find the stored answer again.
        for name in ("Content-Location", "Vary"):
            for value in snapshot.headers.getall(name, []):
                self.not_modified.add(name, value)

    def for_caller(self, fields: CIMultiDict[str], terms: Terms) -> CIMultiDict[str]:
        """`fields`, with the caller's scope and its own parameters where it has any."""
        if not (terms.identity or terms.scope) or self._snapshot is None:
            return fields
        own = fields.copy()
        cursor = scoped(self._snapshot.cursor, terms.scope)
        own["Sync-Cursor"] = cursor
        own["Link"] = _link(self._route, cursor, _query_of(terms))
        return own


def _link(route: LegacyRoute, cursor: str, identity: str = "") -> str:
    """The stream that goes on from `cursor`."""
    url = (
        f"{EVENTS_PATH}?entity={quote(route.entity, safe='')}&lastEventId={quote(cursor, safe='')}{identity}"
    )
    return f'<{url}>; rel="alternate"; type="text/event-stream"'


def _query_of(terms: Terms) -> str:
    """The caller's own parameters, as they follow others; empty where it has none."""
    return f"&{urlencode(terms.identity, errors='surrogatepass')}" if terms.identity else ""


class _Body(RequestBody):
    """A caller's body, bounded in size and in the silences between its parts."""

    def __init__(self, request: web.Request, route: LegacyRoute) -> None:
        self._request = request
        self._max_bytes = route.max_body_bytes
        self._silence_seconds = route.timeout_seconds
        if (request.content_length or 0) > self._max_bytes:
            raise self._too_large()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        while True:
            try:
                async with asyncio.timeout(self._silence_seconds):
                    chunk = await self._request.content.readany()
            except TimeoutError:
                self.error = BodyTimeout(
                    f"The body must not pause for more than {self._silence_seconds:g} s."
                )
                raise self.error from None
            except web.RequestPayloadError:
                self.error = ClientError("The body of the request is broken.")
                raise self.error from None
            if not chunk:
                return
            size += len(chunk)
            if size > self._max_bytes:
                self.error = self._too_large()
                raise self.error
            yield chunk

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"A body may have {self._max_bytes} bytes here.")
