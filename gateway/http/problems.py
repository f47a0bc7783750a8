"""Every error as application/problem+json (RFC 9457)."""

import logging
from typing import Any

import orjson
from aiohttp import web

from gateway.core.errors import HeadTooLarge, TidegateError
from gateway.core.header_fields import size_of
from gateway.http.request_head import RequestHead
from gateway.http.request_id import request_id
from gateway.runtime.refusals import Refusals


def problem_response(error: TidegateError, **members: Any) -> web.Response:
    """The answer that an error is; `members` are further members of the body."""
    response = web.Response(
        status=error.status,
        body=orjson.dumps(error.problem() | members),
        headers={"Cache-Control": "no-store", **error.headers},
        content_type="application/problem+json",
    )
    if error.ends_connection:
        response.force_close()
    return response


def answer_to(error: Exception, request: web.Request, refusals: Refusals) -> web.Response:
    """The problem that a handler's error is, which `refusals` is told of; raises what is to be no problem."""
    if isinstance(error, TidegateError):
        refuse(refusals, request, error)
        return problem_response(error)
    if isinstance(error, web.HTTPException):
        if error.status < 400:
            raise error
        refusals.add(
            "http",
            method=request.method,
            path=request.path,
            status=error.status,
            request_id=request_id(request),
        )
        return _of_http_exception(error)
    if isinstance(error, ConnectionError):
        # The client went away while it was answered: nobody is left to tell.
        raise error
    refuse(refusals, request, error)
    return problem_response(
        TidegateError("The gateway failed at this request; its log says why. Try again later.")
    )


def check_head(request: web.Request, max_bytes: int) -> None:
    """Raises HeadTooLarge where the header fields have more than `max_bytes` in all."""
    # aiohttp bounds each of them, and their number.
    size = size_of(request.raw_headers)
    if size > max_bytes:
        raise HeadTooLarge(
            f"The header fields of a request may have {max_bytes} bytes in all; these have {size}: "
            "send fewer or shorter ones."
        )


def refuse(refusals: Refusals, request: RequestHead, error: BaseException) -> None:
    """Tells `refusals` of what became of a request, also where the caller is not there to be told."""
    fields: dict[str, Any] = {
        "method": request.method,
        "path": request.path,
        "request_id": request_id(request),
    }
    if isinstance(error, TidegateError):
        level = logging.WARNING if error.status >= 500 else logging.INFO
        refusals.add(error.slug, level=level, **fields, detail=error.detail)
    else:
        refusals.add("internal", level=logging.ERROR, error=error, **fields)


def _of_http_exception(error: web.HTTPException) -> web.Response:
    headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
    details = {
        404: "There is nothing at this path.",
        405: f"This path takes {headers.get('Allow', 'other methods')}.",
    }
    body = {
        "type": "about:blank",
        "title": error.reason,
        "status": error.status,
        "detail": details.get(error.status, error.reason),
    }
    return web.Response(
        status=error.status,
        body=orjson.dumps(body),
        headers={"Cache-Control": "no-store", **headers},
        content_type="application/problem+json",
    )
