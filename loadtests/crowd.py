"""Many SSE connections on one epoll loop: opens them, reads them, has every event checked.

Raw sockets instead of an HTTP client, because the generator has one core to read what the server can write
with another: an ordinary client costs ten times what the server does.
"""

import contextlib
import errno
import os
import select
import socket
import struct
import time
from array import array
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlencode

from loadtests.dialect import GATEWAY, Dialect
from loadtests.framing import MalformedError
from loadtests.streams import Checker, Problem, StreamState, parse_head, start, unfinished

READ_BYTES = 1 << 16
# Handshakes under way at once, mostly: below the listen backlog that servers usually ask for (128).
CONNECTING_AT_ONCE = 64
# Ephemeral ports are 28,232 for one source address by default, and connect(2) takes every second of them:
# once these 14,116 are used, it looks through all of them before it takes another one, for milliseconds.
STREAMS_PER_SOURCE = 12_000
PROBLEMS_KEPT = 20
# Linux: choose the port at connect(), where it need be unique only towards this one peer.
IP_BIND_ADDRESS_NO_PORT = 24
LINGER_RESET = struct.pack("ii", 1, 0)


class RunFailedError(Exception):
    """The server did not do what the benchmark asked; the message is for people."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class Wanted(NamedTuple):
    """One stream to open: the entity it asks for ("": everything), the number of each lane's next event.

    `cursor` is sent as Last-Event-ID, and the stream resumes from it; "": none, it starts at now.
    """

    entity: str
    expected: tuple[int, ...]
    cursor: str = ""


def source_address(index: int) -> str:
    """The loopback address that connection `index` comes from; each serves 12,000."""
    return f"127.0.0.{1 + index // STREAMS_PER_SOURCE}"


class _Stream:
    """An open stream. `recv` is the socket's own method, bound once."""

    __slots__ = ("index", "recv", "sock", "state")

    def __init__(self, index: int, sock: socket.socket, state: StreamState) -> None:
        self.index = index
        self.sock = sock
        self.recv = sock.recv
        self.state = state


class _Opening:
    """A connection until its response has begun. `request` is what is still to be sent."""

    __slots__ = ("buffer", "index", "request", "sock", "wanted")

    def __init__(self, index: int, sock: socket.socket, wanted: Wanted, request: bytes) -> None:
        self.index = index
        self.sock = sock
        self.wanted = wanted
        self.request = request
        self.buffer = b""


class Crowd:
    """The streams of one server, and the loop on which everything of the generator happens.

    `received` counts published events over all streams; `latencies_ns` gets one entry for each read that
    brought any, the oldest one's, or with `each` one for every event; `problems` holds the first 20,
    `problem_count` counts all.
    """

    def __init__(self, address: Address, dialect: Dialect = GATEWAY, *, each: bool = False) -> None:
        self.address = address
        self.dialect = dialect
        self._each = each
        self.received = 0
        self.bytes_read = 0
        self.latencies_ns = array("q")
        self.problems: list[str] = []
        self.problem_count = 0
        self._checker = Checker()
        self._epoll = select.epoll()
        self._streams: dict[int, _Stream] = {}
        self._openings: dict[int, _Opening] = {}
        self._watched: dict[int, Callable[[int], None]] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._epoll.close()

    def watch(self, sock: socket.socket, ready: Callable[[int], None]) -> None:
        """Calls `ready(mask)` from `pump` whenever the socket can be read."""
        self._watched[sock.fileno()] = ready
        self._epoll.register(sock, select.EPOLLIN)

    def change(self, sock: socket.socket, mask: int) -> None:
        """Changes what a watched socket waits for."""
        self._epoll.modify(sock, mask)

    def forget(self, sock: socket.socket) -> None:
        """Ends what `watch` began."""
        self._watched.pop(sock.fileno(), None)
        self._epoll.unregister(sock)

    def requests(self, wanted: list[Wanted]) -> list[bytes]:
        """The requests by which `open` opens these: with tokens, that takes longer than to send them."""
        first = len(self._streams)
        return [self._request(first + number, one) for number, one in enumerate(wanted)]

    def open(
        self,
        wanted: list[Wanted],
        timeout_s: float,
        tick: Callable[[str], None],
        *,
        requests: list[bytes] | None = None,
        at_once: int = CONNECTING_AT_ONCE,
    ) -> None:
        """Opens one stream each, in addition to those open; returns when all have had `connected`.

        `requests` are those of `wanted`, where they were made before; `at_once` is how many connections wait
        for their answer, at most. Raises RunFailedError when one is refused, or when they are not open within
        the time.
        """
        requests = self.requests(wanted) if requests is None else requests
        deadline = time.monotonic() + timeout_s
        first, opened = len(self._streams), 0
        while len(self._streams) < first + len(wanted) or self._unconnected():
            while opened < len(wanted) and len(self._openings) < at_once:
                self._begin(first + opened, wanted[opened], requests[opened])
                opened += 1
            self.pump(0.1)
            self._raise_if_broken()
            tick(f"{len(self._streams) - first:,} of {len(wanted):,} streams open")
            if time.monotonic() > deadline:
                raise RunFailedError(
                    f"only {len(self._streams) - first:,} of {len(wanted):,} streams were open "
                    f"after {timeout_s:.0f} s"
                )

    def close(self) -> None:
        """Closes every stream. They end with a reset, so that no port is kept in TIME_WAIT."""
        sockets = [stream.sock for stream in self._streams.values()]
        sockets += [opening.sock for opening in self._openings.values()]
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            sock.close()
        self._streams.clear()
        self._openings.clear()

    def pump(self, timeout_s: float) -> None:
        """Waits for anything to arrive, at most that long, and deals with what did."""
        streams, check, latencies = self._streams, self._checker.advance, self.latencies_ns
        for fd, mask in self._epoll.poll(timeout_s):
            stream = streams.get(fd)
            if stream is None:
                self._other(fd, mask)
                continue
            try:
                data = stream.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                self._end(fd, f"the connection broke: {os.strerror(error.errno or 0)}")
                continue
            if not data:
                self._end(fd, "the server closed the connection")
                continue
            step = check(stream.state, data)
            stream.state = step.state
            self.bytes_read += len(data)
            if step.sent_ns:
                self.received += len(step.sent_ns)
                now_ns = time.monotonic_ns()
                if self._each:
                    latencies.extend(now_ns - sent_ns for sent_ns in step.sent_ns)
                else:
                    latencies.append(now_ns - step.sent_ns[0])
            if step.problems:
                self._report(stream.index, step.problems)

    def pump_for(self, seconds: float) -> None:
        """Goes on reading for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.pump(left)

    def pump_until(self, received: int, timeout_s: float, tick: Callable[[str], None]) -> bool:
        """Reads until so many events are there in all (True), or the time is over (False)."""
        deadline = time.monotonic() + timeout_s
        while self.received < received:
            self.pump(0.1)
            tick(f"{received - self.received:,} deliveries to come")
            if time.monotonic() > deadline:
                return False
        return True

    def settle(self, published: Callable[[str], tuple[int, ...]]) -> None:
        """Holds every stream against what each lane published for its entity; a debt becomes a problem."""
        for stream in self._streams.values():
            problem = unfinished(stream.state, published(stream.state.entity))
            if problem is not None:
                self._report(stream.index, (problem,))

    def _begin(self, index: int, wanted: Wanted, request: bytes) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source_address(index), 0))
        self._openings[sock.fileno()] = _Opening(index, sock, wanted, request)
        code = sock.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            raise RunFailedError(f"connection {index} could not be made: {os.strerror(code)}")
        self._epoll.register(sock, select.EPOLLOUT)

    def _other(self, fd: int, mask: int) -> None:
        if fd in self._openings:
            self._continue(self._openings[fd], mask)
        elif fd in self._watched:
            self._watched[fd](mask)

    def _continue(self, opening: _Opening, mask: int) -> None:
        sock = opening.sock
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise RunFailedError(f"connection {opening.index} failed: {os.strerror(code)}")
        if opening.request:
            sock.sendall(opening.request)
            opening.request = b""
            self._epoll.modify(sock, select.EPOLLIN)
            return
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = sock.recv(READ_BYTES)
            if not data:
                raise RunFailedError(f"connection {opening.index} was closed instead of answered")
        opening.buffer += data
        self._admit(opening)

    def _request(self, index: int, wanted: Wanted) -> bytes:
        parts = [urlencode({"entity": wanted.entity})] if wanted.entity else []
        if self.dialect.stream_query is not None:
            parts.append(self.dialect.stream_query(index))
        query = f"?{'&'.join(parts)}" if parts else ""
        fields = f"Last-Event-ID: {wanted.cursor}\r\n" if wanted.cursor else ""
        fields += f"Accept-Encoding: {self.dialect.codings}\r\n" if self.dialect.codings else ""
        if self.dialect.stream_token is not None:
            fields += f"Authorization: Bearer {self.dialect.stream_token(index, wanted.entity)}\r\n"
        if self.dialect.stream_fields is not None:
            fields += self.dialect.stream_fields(index)
        return (
            f"GET {self.dialect.stream_path}{query} HTTP/1.1\r\n"
            f"Host: {self.address.host}:{self.address.port}\r\n"
            f"Accept: text/event-stream\r\nCache-Control: no-cache\r\n{fields}\r\n"
        ).encode()

    def _admit(self, opening: _Opening) -> None:
        """Makes a stream of a connection whose response's head is complete."""
        try:
            parsed = parse_head(opening.buffer)
            if parsed is None:
                return
            head, rest = parsed
            state = start(
                opening.wanted.expected,
                opening.wanted.entity,
                head,
                greets=self.dialect.greets,
                positioned=self.dialect.positions,
                component=self.dialect.component,
                members=self.dialect.members,
            )
        except MalformedError as error:
            raise RunFailedError(f"stream {opening.index}: {error}") from error
        step = self._checker.begin(state, rest)
        stream = _Stream(opening.index, opening.sock, step.state)
        self.received += step.events
        self._report(stream.index, step.problems)
        fd = opening.sock.fileno()
        self._streams[fd] = stream
        del self._openings[fd]

    def _unconnected(self) -> bool:
        return any(not stream.state.connected for stream in self._streams.values())

    def _raise_if_broken(self) -> None:
        if self.problems:
            raise RunFailedError(f"while the streams were opened: {self.problems[0]}")

    def _end(self, fd: int, detail: str) -> None:
        stream = self._streams[fd]
        # It stays among the streams, so that what it never got is counted; it is only read no more.
        self._epoll.unregister(fd)
        self._report(stream.index, (Problem("ended", detail),))

    def _report(self, index: int, problems: tuple[Problem, ...]) -> None:
        self.problem_count += len(problems)
        room = PROBLEMS_KEPT - len(self.problems)
        self.problems += [f"stream {index}: {kind}: {detail}" for kind, detail in problems[:room]]
