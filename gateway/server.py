"""aiohttp's server, set up for this gateway: what is not HTTP is answered with a problem too (RFC 9457)."""

import logging
import socket
from typing import Any

import orjson
from aiohttp import web

from gateway.refusals import REFUSALS, Refusals

KEEPALIVE_SECONDS = 75.0
"""How long a connection may stay without a whole request: idle, or sending its headers slowly."""
SHUTDOWN_SECONDS = 2.0
"""How long requests other than streams and long polls may take to end while the server stops."""


BACKLOG = 4096
"""How many clients may wait to be accepted, as after a restart when all come back."""
DEAD_PEER_SECONDS = 30.0
"""How much longer than a client that does not read a peer may acknowledge nothing."""
LINGERING_SECONDS = 2.0
"""How long the rest of a refused request is read, so that the client gets to see the answer."""


class _RequestHandler(web.RequestHandler):
    """Answers what can't be parsed as HTTP with a problem; aiohttp's own answer is plain text."""

    __slots__ = ("_refusals",)

    def __init__(self, server: "_Server", **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._refusals = server.refusals

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
            self._refusals.add("http", level=logging.ERROR, error=exc, path=request.path)
            title, detail = "The gateway failed", "Try again later."
        else:
            self._refusals.add("http", reason=type(exc).__name__, peer=self.peername)
            title, detail = "Bad request", "The request is not valid HTTP, or its headers are too long."
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        response = web.Response(
            status=status, body=orjson.dumps(body), content_type="application/problem+json"
        )
        response.force_close()
        return response


class _Server(web.Server):
    refusals: Refusals

    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=self._loop, **self._kwargs)


class GatewayRunner(web.AppRunner):
    """Runs the application. A client that goes away cancels what is done for it.

    What is refused before it reaches a handler is one of the application's REFUSALS, as "http".
    """

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        self._refusals = app.get(REFUSALS) or Refusals()
        super().__init__(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            tcp_keepalive=False,  # the listening socket has it, and all that it accepts
            shutdown_timeout=SHUTDOWN_SECONDS,
            **kwargs,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no other way to bring in a RequestHandler of one's own.
        server.__class__ = _Server
        assert isinstance(server, _Server)
        server.refusals = self._refusals
        return server


class GatewaySite(web.TCPSite):
    """Where a runner listens. What it accepts inherits its socket's options (Linux, tcp(7)).

    So a connection costs no system calls for them. The kernel asks silent peers whether they are there, and
    ends a connection whose peer has acknowledged nothing for `stall_seconds` and DEAD_PEER_SECONDS.
    """

    def __init__(
        self,
        runner: GatewayRunner,
        host: str,
        port: int,
        stall_seconds: float,
        *,
        reuse_port: bool | None = None,
    ) -> None:
        super().__init__(runner, host, port, backlog=BACKLOG, reuse_port=reuse_port)
        self._dead_peer_ms = round((stall_seconds + DEAD_PEER_SECONDS) * 1000)

    async def start(self) -> None:
        await super().start()
        for listener in getattr(self._server, "sockets", ()):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._dead_peer_ms)
