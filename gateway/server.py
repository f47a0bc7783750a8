"""aiohttp's server, set up for this gateway: what is not HTTP is answered with a problem too (RFC 9457)."""

import logging
from collections import Counter
from typing import Any

import orjson
from aiohttp import web

from gateway.logs import log_event

_log = logging.getLogger(__name__)

PROBLEMS = web.AppKey("problems", Counter[str])
"""Requests that were refused, by problem."""
KEEPALIVE_SECONDS = 75.0
"""How long a connection may stay without a whole request: idle, or sending its headers slowly."""
SHUTDOWN_SECONDS = 2.0
"""How long requests other than streams and long polls may take to end while the server stops."""


LINGERING_SECONDS = 2.0
"""How long the rest of a refused request is read, so that the client gets to see the answer."""


class _RequestHandler(web.RequestHandler):
    """Answers what can't be parsed as HTTP with a problem; aiohttp's own answer is plain text."""

    __slots__ = ("_problems",)

    def __init__(self, server: "_Server", **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._problems = server.problems

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer is not None and request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: there is no way to say what is wrong")
        if status >= 500:
            self.log_exception("unexpected failure in %s", request.path, exc_info=exc)
            title, detail = "The gateway failed", "Try again later."
        else:
            reason = type(exc).__name__
            log_event(
                _log, logging.INFO, "request_refused", problem="http", reason=reason, peer=self.peername
            )
            title, detail = "Bad request", "The request is not valid HTTP, or its headers are too long."
        self._problems["http"] += 1
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        response = web.Response(
            status=status, body=orjson.dumps(body), content_type="application/problem+json"
        )
        response.force_close()
        return response


class _Server(web.Server):
    problems: Counter[str]

    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=self._loop, **self._kwargs)


class GatewayRunner(web.AppRunner):
    """Runs the application. A client that goes away cancels what is done for it.

    What is refused before it reaches a handler is counted in the application's PROBLEMS, as "http".
    """

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        self._problems = app.get(PROBLEMS, Counter[str]())
        super().__init__(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
            **kwargs,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no other way to bring in a RequestHandler of one's own.
        server.__class__ = _Server
        assert isinstance(server, _Server)
        server.problems = self._problems
        return server
