"""How long each request takes, by the route that answers it."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.latencies import Latencies

NO_ROUTE = "none"
"""The label of requests for paths where nothing is."""
OTHER_METHOD = "other"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAM = "text/event-stream"


def timing_middleware(latencies: Latencies, now: Callable[[], float]) -> Middleware:
    """Tells `latencies` of each answer; `now` gives monotonic seconds.

    A stream has no end that would say anything, and a request whose client went away has no answer: neither
    is told.
    """

    @web.middleware
    async def timing(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = now()
        response = await handler(request)
        if response.content_type != _STREAM:
            resource = request.match_info.route.resource
            latencies.answered(
                NO_ROUTE if resource is None else resource.canonical,
                request.method if request.method in _METHODS else OTHER_METHOD,
                response.status,
                now() - began,
            )
        return response

    return timing
