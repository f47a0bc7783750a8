"""The id of a request, by which its log line, its audit entry and its answer are found together."""

from random import getrandbits

from aiohttp import web

from gateway.http.request_head import RequestHead

REQUEST_ID_HEADER = "Request-Id"

_REQUEST_ID = web.RequestKey("request_id", str)


def request_id(request: RequestHead) -> str:
    """The request's id: 128 random bits, drawn when it is first asked for. What a caller sends is none."""
    known: str | None = request.get(_REQUEST_ID)
    if known is None:
        # It tells requests apart, and is no secret: asking the system each time costs three times as much.
        known = request[_REQUEST_ID] = f"{getrandbits(128):032x}"
    return known


def mark(request: web.Request, response: web.StreamResponse) -> None:
    """Has the answer say the request's id, where anything is known by it."""
    if _REQUEST_ID in request and not response.prepared:
        response.headers[REQUEST_ID_HEADER] = request[_REQUEST_ID]
