"""The id of a request, by which its log line, its audit entry and its answer are found together."""

import secrets

from aiohttp import web

REQUEST_ID_HEADER = "Request-Id"

_REQUEST_ID = web.RequestKey("request_id", str)


def request_id(request: web.Request) -> str:
    """The request's id: 128 random bits, drawn when it is first asked for. What a caller sends is none."""
    known: str | None = request.get(_REQUEST_ID)
    if known is None:
        known = request[_REQUEST_ID] = secrets.token_hex(16)
    return known


def mark(request: web.Request, response: web.StreamResponse) -> None:
    """Has the answer say the request's id, where anything is known by it."""
    if _REQUEST_ID in request and not response.prepared:
        response.headers[REQUEST_ID_HEADER] = request[_REQUEST_ID]
