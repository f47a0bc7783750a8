"""What stands in front of every handler, whichever way a request comes in."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.core.header_fields import MAX_HEAD_BYTES
from gateway.http.admittance import Admittance
from gateway.http.audit import Trail
from gateway.http.cors import Cors
from gateway.http.hosts import Hosts
from gateway.http.problems import answer_to, check_head
from gateway.http.request_head import ReplyHead, RequestHead
from gateway.http.request_id import mark
from gateway.http.timing import tell
from gateway.runtime.latencies import Latencies
from gateway.runtime.refusals import Refusals

HOST_CHECKED = web.RequestKey("host_checked", bool)


class Front:
    """Checks each request and whose it is, makes problems of what is raised, and tells how long it all took.

    Pages of other origins that ask first get their answer here, where there is `cors`. `now` gives monotonic
    seconds, and header fields may have `head_bytes`. `trail` is told of changes and refusals.
    """

    def __init__(
        self,
        hosts: Hosts,
        admittance: Admittance,
        cors: Cors | None,
        refusals: Refusals,
        latencies: Latencies,
        now: Callable[[], float],
        head_bytes: int = MAX_HEAD_BYTES,
        trail: Trail | None = None,
    ) -> None:
        self.head_bytes = head_bytes
        self.refusals = refusals
        self.now = now
        self._hosts = hosts
        self._admittance = admittance
        self._cors = cors
        self._latencies = latencies
        self._trail = trail

    def middleware(self) -> Middleware:
        """One for all of it: each middleware costs a request as much as its checks."""

        @web.middleware
        async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
            began = self.now()
            failure = None
            try:
                check_head(request, self.head_bytes)
                self._hosts.check(request)
                # A browser sends no credentials with it (Fetch standard, CORS-preflight fetch).
                allowed = None if self._cors is None else self._cors.preflight(request)
                response = await self._admitted(request, handler) if allowed is None else allowed
            except Exception as error:  # noqa: BLE001 - nothing of an unexpected failure may reach the caller
                response, failure = answer_to(error, request, self.refusals), error
            except asyncio.CancelledError:
                if self._trail is not None:
                    self._trail.broken_off(request)
                raise
            if self._trail is not None:
                self._trail.answered(request, response, failure)
            mark(request, response)
            self.answered(request, response, began)
            return response

        return front

    async def _admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await self._admittance.admit(request)
        return await handler(request)

    def admit_at_once(self, request: RequestHead) -> bool:
        """Checks a read with a small head, and whose it is, without waiting; says whether that was possible.

        Raises what becomes a problem.
        """
        if HOST_CHECKED not in request:
            self._hosts.check(request)
            request[HOST_CHECKED] = True
        return self._admittance.admit_at_once(request)

    def answered_at_once(self, request: RequestHead, status: int, began: float) -> None:
        """Tells how long an answer took that is no stream, to a GET of a resource that there is."""
        resource = request.match_info.route.resource
        assert resource is not None, "something answered it"
        self._latencies.answered(resource.canonical, "GET", status, self.now() - began)

    def answered(self, request: RequestHead, response: ReplyHead, began: float) -> None:
        """Tells how long it took, since `began`."""
        tell(self._latencies, request, response, self.now() - began)
