"""Requests whose body is one JSON object: read within bounds, or refused before anything happens."""

from collections.abc import Collection
from typing import Any

import orjson
from aiohttp import web

from gateway.core.errors import InvalidInput, MalformedBody, UnsupportedMediaType
from gateway.http.audit import GIVEN
from gateway.http.publish import read_body

JSON = "application/json"
BODY_SECONDS = 10.0
BODY_BYTES = web.AppKey("body_bytes", int)
"""How many bytes an object may have where its resource says nothing of that."""
MAX_DEPTH = 32
"""How deeply a body may be nested. Nothing that is asked for comes near it, and what reads it may recurse."""


async def read_object(
    request: web.Request, max_bytes: int | None = None, kinds: Collection[str] = (JSON,)
) -> dict[str, Any]:
    """The request's body, one JSON object of at most `max_bytes` bytes; without them of BODY_BYTES.

    Raises UnsupportedMediaType for a Content-Type that is none of `kinds`, MalformedBody for what is no JSON,
    InvalidInput for JSON that is no object, and what `read_body` raises. The audit trail finds it in GIVEN.
    """
    # None of the kinds is one that a browser's page may send to another site without asking it first
    # (Fetch standard, CORS-safelisted request-header): a form or a `text/plain` body never gets here.
    if request.content_type not in kinds:
        raise UnsupportedMediaType(f"Send {' or '.join(kinds)}.")
    raw = await read_body(request, max_bytes or request.app[BODY_BYTES], BODY_SECONDS)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise InvalidInput("The body is no object.", errors=[{"pointer": "", "detail": "must be an object"}])
    if _is_deep(body):
        raise MalformedBody(f"The body is nested more than {MAX_DEPTH} levels deep.")
    request[GIVEN] = dict(body)
    return body


def _is_deep(body: object) -> bool:
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, (dict, list))
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True
