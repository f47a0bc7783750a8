"""Every error as application/problem+json (RFC 9457)."""

import logging
from collections import Counter
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.errors import TidegateError
from gateway.logs import log_event

_log = logging.getLogger(__name__)


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


def problems_middleware(counts: Counter[str]) -> Middleware:
    """Turns what handlers raise into problems. `counts` gets one more for each, by the problem's slug."""

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except TidegateError as error:
            counts[error.slug] += 1
            level = logging.WARNING if error.status >= 500 else logging.INFO
            log_event(
                _log,
                level,
                "request_refused",
                method=request.method,
                path=request.path,
                problem=error.slug,
                detail=error.detail,
            )
            return problem_response(error)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            counts["http"] += 1
            return _of_http_exception(error)
        except ConnectionError:
            # The client went away while it was answered: nobody is left to tell.
            raise
        except Exception:  # noqa: BLE001 - nothing of an unexpected failure may reach the caller
            counts["internal"] += 1
            _log.exception("unexpected failure in %s %s", request.method, request.path)
            return problem_response(
                TidegateError("The gateway failed at this request; its log says why. Try again later.")
            )

    return problems


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
