"""aiohttp's server, set up for this gateway: refusals below HTTP routing are problems too (RFC 9457)."""

from typing import Any

import orjson
from aiohttp import web

KEEPALIVE_SECONDS = 75.0
"""How long a connection may stay without a whole request: idle, or sending its headers slowly."""
SHUTDOWN_SECONDS = 2.0
"""How long requests other than streams and long polls may take to end while the server stops."""


class _RequestHandler(web.RequestHandler):
    """Answers what can't be parsed as HTTP with a problem; aiohttp's own answer is plain text."""

    __slots__ = ()

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
        body = {
            "type": "about:blank",
            "title": "Bad request" if status == 400 else "The gateway failed",
            "status": status,
            "detail": (message or "The request is not valid HTTP.") if status < 500 else "Try again later.",
        }
        response = web.Response(
            status=status, body=orjson.dumps(body), content_type="application/problem+json"
        )
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=self._loop, **self._kwargs)


class GatewayRunner(web.AppRunner):
    """Runs the application. A client that goes away cancels what is done for it."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        super().__init__(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
            **kwargs,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server
