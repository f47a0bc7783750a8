"""What stands in front of every handler."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.core.header_fields import MAX_HEAD_BYTES
from gateway.http.audit import Trail
from gateway.http.cors import Cors
from gateway.http.front_door import FrontDoor
from gateway.http.hosts import Hosts
from gateway.http.problems import answer_to, check_head
from gateway.http.request_id import mark
from gateway.http.timing import tell
from gateway.runtime.latencies import Latencies
from gateway.runtime.refusals import Refusals


def front_middleware(
    hosts: Hosts,
    door: FrontDoor,
    cors: Cors | None,
    refusals: Refusals,
    latencies: Latencies,
    now: Callable[[], float],
    head_bytes: int = MAX_HEAD_BYTES,
    trail: Trail | None = None,
) -> Middleware:
    """Checks each request and whose it is, makes problems of what is raised, and tells how long it all took.

    Pages of other origins that ask first get their answer here, where there is `cors`. `now` gives monotonic
    seconds, and header fields may have `head_bytes`. `trail` is told of changes and refusals. It is one
    middleware: each of them costs a request as much as its checks.
    """

    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        await door.admit(request)
        return await handler(request)

    @web.middleware
    async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = now()
        failure = None
        try:
            check_head(request, head_bytes)
            hosts.check(request)
            # A browser sends no credentials with it (Fetch standard, CORS-preflight fetch).
            allowed = None if cors is None else cors.preflight(request)
            response = await admitted(request, handler) if allowed is None else allowed
        except Exception as error:  # noqa: BLE001 - nothing of an unexpected failure may reach the caller
            response, failure = answer_to(error, request, refusals), error
        except asyncio.CancelledError:
            if trail is not None:
                trail.broken_off(request)
            raise
        if trail is not None:
            trail.answered(request, response, failure)
        mark(request, response)
        tell(latencies, request, response, now() - began)
        return response

    return front
