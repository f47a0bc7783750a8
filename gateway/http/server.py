"""aiohttp's server, set up for this gateway: what is not HTTP is answered with a problem too (RFC 9457)."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from gateway.core.errors import (
    ExpectationFailed,
    HeadTooLarge,
    TargetTooLong,
    TidegateError,
    UnknownTransferCoding,
    UnsupportedVersion,
)
from gateway.core.header_fields import HeadLimits
from gateway.delivery.handover import leave
from gateway.http.cors import CORS, Cors, origin_of
from gateway.http.door_connection import DoorConnection
from gateway.http.front_door import FRONT_DOOR, FrontDoor
from gateway.http.problems import problem_response
from gateway.runtime.half_close import ENDS_WITH_INPUT, HALF_CLOSED_SECONDS
from gateway.runtime.listening import stop_accepting
from gateway.runtime.refusals import REFUSALS, Refusals

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


HEAD = web.AppKey("head", HeadLimits)
"""How large the head of an application's requests may be."""


class _RequestHandler(web.RequestHandler):
    """Answers what can't be parsed as HTTP with a problem, and callers that have said all that they will.

    aiohttp's own answer is plain text, and it leaves a request whose caller closes its sending side.
    """

    __slots__ = (
        "_cut_off",
        "_door",
        "_half_closed_seconds",
        "_head",
        "_held",
        "_refusals",
        "_to_come",
        "is_half_closed",
    )

    def __init__(self, server: "_Server", **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._refusals = server.refusals
        self._half_closed_seconds = server.half_closed_seconds
        self._head = server.head
        self._door = server.door
        self._to_come: int | None = 0
        self._held = b""
        self.is_half_closed = False
        self._cut_off: web.RequestPayloadError | None = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer is not None and request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: there is no way to say what is wrong")
        response = self._problem(request, status, exc)
        response.force_close()
        return response

    def _problem(self, request: web.BaseRequest, status: int, exc: BaseException | None) -> web.Response:
        over = _over_limit(exc, self._head) if status < 500 else None
        if over is not None:
            self._refusals.add(over.slug, detail=over.detail, peer=self.peername)
            return problem_response(over)
        if status >= 500:
            self._refusals.add("http", level=logging.ERROR, error=exc, path=request.path)
            title, detail = "The gateway failed", "Try again later."
        else:
            self._refusals.add("http", reason=type(exc).__name__, peer=self.peername)
            title, detail = "Bad request", "The request is not valid HTTP."
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")

    def data_received(self, data: bytes) -> None:
        # aiohttp itself says that nothing came, to go on with what it has parsed.
        if self._door is None or not data:
            super().data_received(data)
        elif self._held:
            held, self._held = self._held, b""
            self._take(held + data)
        elif self._to_come or self._to_come is None or not self._request_count or not self._door.takes(data):
            self._take(data)
        else:
            # Its client may have read the last answer before this handler has done with it.
            self._held = data
            self._loop.call_soon(self._let_go)

    def _let_go(self) -> None:
        """Gives the connection back to the front door, where this handler is idle by now."""
        data, self._held = self._held, b""
        transport, door = self.transport, self._door
        if not data or transport is None or door is None:
            return
        if self._is_idle:
            leave(self)
            DoorConnection(door).taken_back(transport, data)
        else:
            self._take(data)

    @property
    def _is_idle(self) -> bool:
        """Whether it waits for a request. aiohttp does so with `_waiter`."""
        return self._waiter is not None and not self._waiter.done()

    def _take(self, data: bytes) -> None:
        """Goes on with what came, and keeps count of how much of the request that began last is yet to come.

        `_to_come` is None where that can't be told: then the parser may hold the beginning of another, and
        the connection stays here. Taken for a request of its own, what comes next could be anything.
        """
        before, is_between = self._request_count, self._to_come == 0
        super().data_received(data)
        if is_between:
            end = data.find(b"\r\n\r\n")
            is_one = end >= 0 and self._request_count == before + 1 and self._messages
            length = _body_length(self._messages[-1][0]) if is_one else None
            self._to_come = None if length is None else end + 4 + length - len(data)
        elif self._to_come is not None:
            self._to_come -= len(data)
        if self._to_come is not None and self._to_come < 0:
            self._to_come = None

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """True, which keeps the connection, where a request is still to be answered.

        One whose body is cut off is answered too: who reads it is told that no more of it will come.
        """
        if self._held:
            held, self._held = self._held, b""
            self._take(held)
        request = self._current_request
        ends = request is not None and request.get(ENDS_WITH_INPUT, False)
        if self._is_idle or ends or self._request_count == 0:
            return None
        self.is_half_closed = True
        try:
            if self._parser is not None:
                self._parser.feed_eof()
        except HttpProcessingError as error:
            self._cut_off = web.RequestPayloadError(str(error))
        self.begin(request)
        self._loop.call_later(self._half_closed_seconds, self._leave)
        return True

    def begin(self, request: web.BaseRequest | None) -> None:
        """Lets a half-closed connection end with the answer to `request`, where none waits behind it.

        Where that one was cut off, whoever reads its body gets an error. It is None between two requests.
        """
        if self._messages:
            return
        self.close()
        if self._cut_off is not None and request is not None:
            request.content.set_exception(self._cut_off)
            request.content.feed_eof()

    def _leave(self) -> None:
        request = self._current_request
        has_begun = request is not None and request.writer.output_size > 0
        if self.transport is not None and not has_begun:
            self.transport.close()


class _MarkingRequestHandler(_RequestHandler):
    """Answers pages of other origins also where their request can't be read: as problems that they may read.

    Of such a request aiohttp keeps nothing, so what came last is kept here, which mostly is its whole head.
    """

    __slots__ = ("_before", "_cors", "_unread")

    def __init__(self, server: "_Server", cors: Cors, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._cors = cors
        self._before = self._unread = b""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._unread = self._before + data
        self._before = data if len(data) <= self._head.head_bytes else b""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, message)
        if self._unread:
            self._cors.mark_unread(response, self._unread)
        else:
            self._cors.mark(response, origin_of(request.headers.getall(hdrs.ORIGIN, ())))
        return response


def _body_length(message: object) -> int | None:
    """How many bytes of body a request has; None where its head does not say, or it is none."""
    if not isinstance(message, RawRequestMessage) or message.chunked or message.upgrade:
        return None
    length = message.headers.get(hdrs.CONTENT_LENGTH, "0")
    return int(length) if length.isdecimal() else None


def _over_limit(error: BaseException | None, head: HeadLimits) -> TidegateError | None:
    """The limit on a request's head for which the parser failed; None where it was for something else."""
    if isinstance(error, LineTooLong) and error.args[1] == head.url_bytes:
        return TargetTooLong(f"A request's URL may have {head.url_bytes} bytes: send a shorter one.")
    if isinstance(error, LineTooLong) or "Too many headers" in str(error):
        return HeadTooLarge(
            f"A request may have {head.head_fields} header fields, with {head.head_bytes} bytes in all: "
            "send fewer or shorter ones."
        )
    return None


def _unmet(request: web.BaseRequest) -> TidegateError | None:
    """What the request asks of the server, and the server does not do; None where there is nothing.

    aiohttp's parser takes HTTP/0.9 and HTTP/2.0 in a request line too, and its answers repeat them.

    aiohttp looks at `Expect` before its middlewares, and fails on what is no text. Of transfer codings it
    takes the chunks off, and would give what is left for the body, in whatever other coding.
    """
    if request._version not in (HttpVersion11, HttpVersion10):
        # The answer repeats it. aiohttp keeps what `version` gave once.
        request._version = HttpVersion11
        return UnsupportedVersion("The gateway speaks HTTP/1.1 and HTTP/1.0.")
    headers = request.headers
    # Hardly any request has one of the two.
    if hdrs.EXPECT in headers:
        expected = headers.getall(hdrs.EXPECT)
        if any(value.lower() not in ("", "100-continue") for value in expected):
            return ExpectationFailed("The only expectation that is met is 100-continue.")
    if hdrs.TRANSFER_ENCODING in headers:
        codings = headers.getall(hdrs.TRANSFER_ENCODING)
        if any(value.strip().lower() != "chunked" for value in codings):
            return UnknownTransferCoding(
                "The only transfer coding is chunked: send the body without another."
            )
    return None


class _Server(web.Server):
    refusals: Refusals
    half_closed_seconds: float
    head: HeadLimits
    cors: Cors | None
    door: FrontDoor | None

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]
        return self._handler() if self.door is None else DoorConnection(self.door)

    def _handler(self) -> _RequestHandler:
        if self.cors is None:
            return _RequestHandler(self, loop=self._loop, **self._kwargs)
        return _MarkingRequestHandler(self, self.cors, loop=self._loop, **self._kwargs)

    def take(self, transport: asyncio.Transport, data: bytes, has_ended: bool) -> None:
        """Goes on with a connection on which `data` has come, and after which its caller says no more."""
        handler = self._handler()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)
        if self.door is not None and self.door.is_ending:
            # Whoever had their handler before the server began to stop were told then.
            handler.close()
        if has_ended and handler.eof_received() is None:
            transport.close()

    def pre_shutdown(self) -> None:
        if self.door is not None:
            self.door.close_idle()
        super().pre_shutdown()

    def answer_with(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        """Answers requests with `handler`, but for those that expect what is not done here."""

        def answer(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
            protocol = request.protocol
            if isinstance(protocol, _RequestHandler) and protocol.is_half_closed:
                protocol.begin(request)
            refusal = _unmet(request)
            return handler(request) if refusal is None else self._refuse(request, refusal)

        self.request_handler = answer

    async def _refuse(self, request: web.BaseRequest, refusal: TidegateError) -> web.StreamResponse:
        self.refusals.add(refusal.slug, method=request.method, path=request.path, detail=refusal.detail)
        response = problem_response(refusal)
        if self.cors is not None:
            self.cors.mark_answer(request, response)
        return response


class GatewayRunner(web.AppRunner):
    """Runs the application. A client that goes away cancels what is done for it.

    One that only closes its sending side gets its answer, where that begins within `half_closed_seconds`.
    A connection may be without a whole request for `keepalive_seconds`.
    Bodies come as they were sent, in whatever coding. What is refused before it reaches a handler is one of
    the application's REFUSALS: as "http", but for what has a problem of its own.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        half_closed_seconds: float = HALF_CLOSED_SECONDS,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
        **kwargs: Any,
    ) -> None:
        self._refusals = app.get(REFUSALS) or Refusals()
        self._cors = app.get(CORS)
        self._door = app.get(FRONT_DOOR)
        self._half_closed_seconds = half_closed_seconds
        self._keepalive_seconds = keepalive_seconds
        head = self._head = app.get(HEAD) or HeadLimits()
        super().__init__(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=keepalive_seconds,
            lingering_time=LINGERING_SECONDS,
            tcp_keepalive=False,  # the listening socket has it, and all that it accepts
            shutdown_timeout=SHUTDOWN_SECONDS,
            auto_decompress=False,
            max_line_size=head.url_bytes,
            # The parser tells by its limit alone what was too long. `check_head` counts all fields exactly.
            max_field_size=head.head_bytes + (head.head_bytes == head.url_bytes),
            max_headers=head.head_fields,
            **kwargs,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no other way to bring in a RequestHandler of one's own.
        server.__class__ = _Server
        assert isinstance(server, _Server)
        server.refusals = self._refusals
        server.half_closed_seconds = self._half_closed_seconds
        server.head = self._head
        server.cors = self._cors
        server.door = self._door
        if self._door is not None:
            self._door.attend(server.take, self._keepalive_seconds)
        server.answer_with(server.request_handler)
        return server


class GatewaySite(web.TCPSite):
    """Where a runner listens. What it accepts inherits its socket's options (Linux, tcp(7)).

    So a connection costs no system calls for them. The kernel asks silent peers whether they are there, and
    ends a connection whose peer has acknowledged nothing for `stall_seconds` and DEAD_PEER_SECONDS.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        stall_seconds: float,
        *,
        reuse_port: bool | None = None,
    ) -> None:
        super().__init__(runner, host, port, backlog=BACKLOG, reuse_port=reuse_port)
        self._dead_peer_ms = round((stall_seconds + DEAD_PEER_SECONDS) * 1000)

    async def stop(self) -> None:
        """Listens no more; what was accepted by then is the runner's to end."""
        await stop_accepting(self._server)
        await super().stop()

    async def start(self) -> None:
        """Listens. Whatever becomes of it, `stop` ends it. Raises OSError where the address can't be taken.

        aiohttp's own listens before it has the server in hand: cancelled in that very turn, it loses it.
        """
        await web.BaseSite.start(self)
        assert self._runner.server is not None
        self._server = server = await asyncio.get_running_loop().create_server(
            self._runner.server,
            self._host,
            self._port,
            backlog=self._backlog,
            reuse_port=self._reuse_port,
            start_serving=False,
        )
        for listener in server.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._dead_peer_ms)
        await server.start_serving()
