"""Requests that go through to an upstream, and their answers on the way back: bytes for bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.errors import BodyTimeout, BodyTooLarge, ClientError, UpstreamError
from gateway.http.admittance import query_beside_token
from gateway.http.client_address import Clients, is_of_forwarding
from gateway.http.cookies import SESSION_COOKIE, without_cookie
from gateway.http.legacy.fields import with_upstreams
from gateway.http.legacy.reads import Reads
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead
from gateway.ports.legacy_lists import raw_values
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import SAFE_METHODS, Answer, Fields, RequestBody, Upstreams

FORWARDED = web.RequestKey("forwarded", bool)
"""Whether a request went through."""


class Forwarding:
    """Takes requests for one route, and for what lies below its path, through to the upstream.

    The lists learn of a write that succeeded, or may have. `clients` tells upstreams who asks.
    """

    def __init__(self, route: LegacyRoute, source: Upstreams, clients: Clients) -> None:
        self._route = route
        self._source = source
        self._proxy = source.proxy
        self._server = source.server(route)
        self._counters = source.counters[route.path]
        self._clients = clients
        self._reads = Reads(route.reads)

    async def forward(
        self, request: web.Request, tail: str, said: CIMultiDict[str] | None = None, reason: str | None = None
    ) -> web.StreamResponse:
        """Takes a request for `tail` below the route's path through, and its answer back.

        `said` are fields that the answer carries beside the upstream's own. `reason` is why no snapshot
        answers it (RFC 9211, section 2.2): by default, that none is for such requests.
        """
        request[FORWARDED] = True
        if reason is None:
            reason = "bypass" if request.method in SAFE_METHODS else "method"
        route, counters = self._route, self._counters
        outgoing = self._proxy.outgoing(
            route,
            tail,
            query_beside_token(request),
            _fields_of_caller(request),
            self._clients.fields_for_upstream(request),
            values=raw_values(route, request.rel_url.raw_path),
            counters=counters,
        )
        body = _Body(request, route) if request.body_exists else None
        counters.forwarded += 1
        writes = not self._reads.cover(request.method, request.rel_url.raw_path)
        answered = False
        try:
            async with self._proxy.request(route, request.method, outgoing, body) as answer:
                answered = True
                counters.fields_left_out += answer.fields_left_out
                self._server.forwarded()
                if writes and answer.status < 400:
                    self._written(request)
                return await self._relay(request, answer, said, reason)
        except (UpstreamError, asyncio.CancelledError) as error:
            if not answered:
                if isinstance(error, UpstreamError):
                    self._server.forward_failed(route, error)
                counters.forward_failures += 1
                if writes:
                    # Nobody knows whether it was carried out before the answer got lost.
                    self._written(request)
            raise

    def fields_of(self, request: RequestHead) -> Fields:
        """The fields that the upstream would get of a request, those that say who asks among them."""
        return [*_fields_of_caller(request), *self._clients.fields_for_upstream(request)]

    def _written(self, request: web.Request) -> None:
        self._source.written(self._route, request.rel_url.raw_path)

    async def _relay(
        self, request: web.Request, answer: Answer, said: CIMultiDict[str] | None, reason: str
    ) -> web.StreamResponse:
        headers = answer.headers if said is None else with_upstreams(said, answer.headers)
        # RFC 9211, section 2: each cache adds itself after those that are nearer to the origin.
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


def _fields_of_caller(request: RequestHead) -> list[tuple[str, str]]:
    """The fields that the upstream gets from the caller, its credentials among them.

    A static key is this gateway's secret, and the session is its own: neither is of use to anybody else.
    """
    is_by_key = principal_of(request).credentials.key is not None
    fields = []
    for name, value in request.headers.items():
        lowered = name.lower()
        if is_of_forwarding(name) or (is_by_key and lowered == "authorization"):
            continue
        sent = without_cookie(value, SESSION_COOKIE) if lowered == "cookie" else value
        if sent or not value:
            fields.append((name, sent))
    return fields


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
