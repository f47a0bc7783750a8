"""Takes a stream's connection over from aiohttp once the response has begun.

For every open request aiohttp keeps its protocol object, its parser, the request, the response and a task:
some 10 KB, for a stream that needs none of them. So the connection is given to the hub, and aiohttp is told
that it is lost, which frees all of that. The hub gets the socket alone (sockets.py), or where that can't be
the transport, with another protocol, `StreamProtocol`.

This leans on how aiohttp 3 ends a connection: `RequestHandler.connection_lost` ends the request's task, and
closes the transport only where the handler still has one. tests/integration/test_handover.py fails when that
changes. Where a connection can't be taken over, the handler waits beside it: more memory, nothing else.
"""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from gateway.delivery.hub import Hub
from gateway.delivery.sockets import StreamSockets
from gateway.delivery.subscriber import Subscriber, Transport
from gateway.runtime.half_close import ENDS_WITH_INPUT, is_half_closed

Attach = Callable[[Transport], Subscriber]
"""Makes the subscriber whose bytes go to a transport."""


async def carry(
    request: web.Request,
    writer: AbstractStreamWriter,
    sockets: StreamSockets,
    attach: Attach,
    *,
    resumed: bool,
    hand_over: bool,
) -> None:
    """Gives a stream whose first frames are written to the hub.

    Returns at once where the connection was taken over, else when the stream is over. Nothing else may be
    written to the response. Raises ConnectionResetError where the client is gone already.
    """
    transport = request.transport
    if transport is None or transport.is_closing() or is_half_closed(request):
        raise ConnectionResetError("the client went away")
    if hand_over and can_hand_over(request):
        is_clogged = request.protocol.writing_paused
        subscriber = give(transport, sockets, attach)
        leave(request.protocol)
        if is_clogged:
            # The transport says so to nobody a second time.
            sockets.hub.clogged(subscriber)
        sockets.hub.begin(subscriber, resumed=resumed)
    else:
        await _wait_beside(request, transport, writer, sockets.hub, attach, resumed=resumed)


class StreamProtocol(asyncio.Protocol):
    """Tells the hub what asyncio says of a connection; what the client sends is ignored."""

    __slots__ = ("_hub", "_subscriber")

    def __init__(self, hub: Hub, subscriber: Subscriber) -> None:
        self._hub = hub
        self._subscriber = subscriber

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.lost(self._subscriber)

    def pause_writing(self) -> None:
        self._hub.clogged(self._subscriber)

    def resume_writing(self) -> None:
        self._hub.drained(self._subscriber)


_NOBODY = asyncio.Protocol()
"""Hears of the end of a transport whose connection was taken, which concerns nobody."""


def can_hand_over(request: web.Request) -> bool:
    """Whether the connection can be taken over: aiohttp 3, a willing transport, no body left to read."""
    return (
        aiohttp.__version__.startswith("3.")
        and isinstance(request.protocol, web.RequestHandler)
        and hasattr(request.transport, "set_protocol")
        and not request.can_read_body
    )


def give(transport: asyncio.Transport, sockets: StreamSockets, attach: Attach) -> Subscriber:
    """Makes a connection that of a new subscriber, which the hub is to begin in this turn.

    Whoever had the transport does nothing more with it, and hears nothing more of it: it may be without its
    connection by then. Where `attach` raises the transport is as it was.
    """
    own = sockets.take(transport)
    if own is None:
        subscriber = attach(transport)
        transport.set_protocol(StreamProtocol(sockets.hub, subscriber))
        return subscriber
    try:
        subscriber = attach(own)
    except BaseException:
        own.abort()
        raise
    own.begin(subscriber)
    transport.abort()
    transport.set_protocol(_NOBODY)
    return subscriber


def leave(handler: web.RequestHandler) -> None:
    """Lets aiohttp end all that it holds of a connection, but for the connection.

    A request's task is cancelled at its next await.
    """
    # Without this aiohttp would close the transport when it hears that the connection is lost.
    handler.transport = None
    handler.connection_lost(None)


class _TransportBeside:
    """A transport whose protocol is still aiohttp's: finds out by looking that its buffer is full."""

    def __init__(self, request: web.Request, transport: asyncio.Transport, hub: Hub) -> None:
        self._protocol = request.protocol
        self._transport = transport
        self._hub = hub
        self.subscriber: Subscriber | None = None
        self.changed = asyncio.Event()
        self.is_clogged = False
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self._transport.write(data)
        if self._protocol.writing_paused and not self.is_clogged and self.subscriber is not None:
            self.is_clogged = True
            self.changed.set()
            self._hub.clogged(self.subscriber)

    def close(self) -> None:
        self._transport.close()
        self.is_closed = True
        self.changed.set()

    def abort(self) -> None:
        self._transport.abort()
        self.is_closed = True
        self.changed.set()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()


async def _wait_beside(
    request: web.Request,
    transport: asyncio.Transport,
    writer: AbstractStreamWriter,
    hub: Hub,
    attach: Attach,
    *,
    resumed: bool,
) -> None:
    request[ENDS_WITH_INPUT] = True
    beside = _TransportBeside(request, transport, hub)
    subscriber = beside.subscriber = attach(beside)
    try:
        hub.begin(subscriber, resumed=resumed)
        while not beside.is_closed:
            await beside.changed.wait()
            beside.changed.clear()
            if beside.is_clogged and not beside.is_closed:
                await writer.drain()
                beside.is_clogged = False
                hub.drained(subscriber)
    finally:
        hub.lost(subscriber)
