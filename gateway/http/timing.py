"""How long each request takes, by the route that answers it."""

from aiohttp import hdrs

from gateway.http.request_head import ReplyHead, RequestHead
from gateway.runtime.latencies import Latencies

NO_ROUTE = "none"
"""The label of requests for paths where nothing is."""
OTHER_METHOD = "other"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAM = "text/event-stream"


def tell(latencies: Latencies, request: RequestHead, response: ReplyHead, seconds: float) -> None:
    """Tells `latencies` of an answer that took so many seconds.

    A stream has no end that would say anything: it is not counted.
    """
    # Not `content_type`, which takes the field apart: it costs more than all the rest of this.
    if response.headers.get(hdrs.CONTENT_TYPE, "").lower().startswith(_STREAM):
        return
    resource = request.match_info.route.resource
    latencies.answered(
        NO_ROUTE if resource is None else resource.canonical,
        request.method if request.method in _METHODS else OTHER_METHOD,
        response.status,
        seconds,
    )
