"""The sockets of open streams, without a transport for each: one epoll says what happens to all of them.

A transport of uvloop's takes 1.2 KB, most of what an idle stream took. It is made for connections that are
read; of what a stream's client sends nothing is looked at, and to most streams nothing is written for long.
So a stream's socket leaves its transport once the stream has begun. What is kept is its descriptor, in one
small object; the event loop watches the epoll as if it were one connection.
"""

import asyncio
import os
import select
from collections import deque
from collections.abc import Callable

from gateway.delivery.hub import Hub
from gateway.delivery.subscriber import Subscriber

EVENTS_A_TURN = 128
"""How many sockets are seen to in one turn of the event loop; what else has happened waits for the next."""
_DISCARDED_BYTES = 65_536
_CLOSED = -1


class _Unsent:
    """What the kernel has no room for, the oldest first: the very bytes that were written, and no copies."""

    __slots__ = ("is_last", "is_paused", "parts", "size")

    def __init__(self) -> None:
        self.parts: deque[bytes | memoryview] = deque()
        self.size = 0
        self.is_paused = False
        self.is_last = False


class StreamSocket:
    """A stream's connection, as its subscriber writes to it (`Transport` in subscriber.py).

    It behaves as asyncio's transports do: `write` sends at once what the kernel takes, and keeps the rest. It
    does not raise: of a connection that fails the hub hears in a later turn of the event loop, as it does of
    the end that `close` and `abort` make. What is written once the connection has ended is dropped. A client
    that closes its sending side ends its stream.
    """

    __slots__ = ("_descriptor", "_sockets", "_subscriber", "_unsent")

    def __init__(self, sockets: "StreamSockets", descriptor: int) -> None:
        self._descriptor = descriptor
        self._sockets = sockets
        self._subscriber: Subscriber | None = None
        self._unsent: _Unsent | None = None

    def fileno(self) -> int:
        """The socket's descriptor; -1 once it has ended."""
        return self._descriptor

    def begin(self, subscriber: Subscriber) -> None:
        """Whose connection it is. To be said in the turn in which it was taken."""
        self._subscriber = subscriber

    def write(self, data: bytes, /) -> None:
        if self._unsent is not None:
            self._keep(self._unsent, data)
            return
        try:
            sent = os.write(self._descriptor, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return
        if sent < len(data):
            self._unsent = _Unsent()
            self._sockets.watch(self._descriptor, select.EPOLLIN | select.EPOLLOUT)
            self._keep(self._unsent, memoryview(data)[sent:])

    def close(self) -> None:
        """Ends the connection once all that was written is sent; what the client sends is left unread."""
        if self._unsent is None:
            self.abort()
        elif not self._unsent.is_last:
            self._unsent.is_last = True
            self._sockets.watch(self._descriptor, select.EPOLLOUT)

    def abort(self) -> None:
        """Ends the connection at once; doing so twice does nothing."""
        if self._descriptor != _CLOSED:
            descriptor, self._descriptor, self._unsent = self._descriptor, _CLOSED, None
            self._sockets.end(descriptor, self._lost)

    def get_write_buffer_size(self) -> int:
        return 0 if self._unsent is None else self._unsent.size

    def ready(self, events: int) -> None:
        """The epoll says that these events have happened (epoll_ctl(2))."""
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self.abort()
            return
        if events & select.EPOLLIN:
            self._discard()
        if events & select.EPOLLOUT and self._unsent is not None:
            self._send(self._unsent)

    def _keep(self, unsent: _Unsent, data: bytes | memoryview) -> None:
        unsent.parts.append(data)
        unsent.size += len(data)
        if unsent.size > self._sockets.high_bytes and not unsent.is_paused:
            unsent.is_paused = True
            assert self._subscriber is not None
            self._sockets.hub.clogged(self._subscriber)

    def _discard(self) -> None:
        try:
            has_ended = not os.read(self._descriptor, _DISCARDED_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        if has_ended:
            self.close()

    def _send(self, unsent: _Unsent) -> None:
        """Sends what the kernel has room for now."""
        try:
            while unsent.parts:
                part = unsent.parts[0]
                sent = os.write(self._descriptor, part)
                unsent.size -= sent
                if sent < len(part):
                    unsent.parts[0] = memoryview(part)[sent:]
                    break
                unsent.parts.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.abort()
            return
        self._sent(unsent)

    def _sent(self, unsent: _Unsent) -> None:
        if not unsent.parts:
            self._unsent = None
            if unsent.is_last:
                self.abort()
                return
            self._sockets.watch(self._descriptor, select.EPOLLIN)
        if unsent.is_paused and unsent.size <= self._sockets.low_bytes:
            unsent.is_paused = False
            assert self._subscriber is not None
            self._sockets.hub.drained(self._subscriber)

    def _lost(self) -> None:
        # The two refer to each other, and cycles are looked for rarely (gateway/runtime/process.py).
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            self._sockets.hub.lost(subscriber)


class StreamSockets:
    """The sockets of all streams of a hub, from `start` to `close`.

    A stream whose unsent bytes are more than `high_bytes` is clogged, until they are no more than a quarter
    of that, as for asyncio's transports.
    """

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop, high_bytes: int) -> None:
        self.hub = hub
        self.high_bytes = high_bytes
        self.low_bytes = high_bytes // 4
        self._loop = loop
        self._epoll: select.epoll | None = None
        # By descriptor: these are small numbers, and an entry of a dict takes five times as much.
        self._open: list[StreamSocket | None] = []

    def start(self) -> None:
        """Takes connections from now on, where the system has epoll (Linux)."""
        if hasattr(select, "epoll"):
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._look)

    def close(self) -> None:
        """Takes no connection any more, and aborts what is open. Closing twice does nothing."""
        if self._epoll is None:
            return
        for socket in filter(None, self._open):
            socket.abort()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._epoll = None

    def take(self, transport: asyncio.Transport) -> StreamSocket | None:
        """The connection of `transport`, which the caller aborts in the same turn of the event loop.

        None where it stays with its transport: that has bytes to send, there is no descriptor left for the
        moment in which the connection has two, or there is no epoll.
        """
        if self._epoll is None or transport.get_write_buffer_size():
            return None
        socket = transport.get_extra_info("socket")
        if socket is None or transport.get_extra_info("sslcontext") is not None:
            return None
        try:
            descriptor = os.dup(socket.fileno())
        except OSError:
            return None
        try:
            self._epoll.register(descriptor, select.EPOLLIN)
        except OSError:
            os.close(descriptor)
            return None
        self._open.extend([None] * (descriptor + 1 - len(self._open)))
        taken = self._open[descriptor] = StreamSocket(self, descriptor)
        return taken

    def watch(self, descriptor: int, events: int) -> None:
        """What is to be told of an open socket, beside its failure."""
        assert self._epoll is not None
        self._epoll.modify(descriptor, events)

    def end(self, descriptor: int, then: Callable[[], None]) -> None:
        """Closes an open socket, and calls `then` in a later turn of the event loop."""
        assert self._epoll is not None
        self._open[descriptor] = None
        # Its transport may not have closed its own descriptor yet: till then the epoll would go on with it.
        self._epoll.unregister(descriptor)
        os.close(descriptor)
        self._loop.call_soon(then)

    def _look(self) -> None:
        assert self._epoll is not None
        for descriptor, events in self._epoll.poll(0, EVENTS_A_TURN):
            socket = self._open[descriptor]
            if socket is not None:
                socket.ready(events)
