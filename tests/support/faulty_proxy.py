"""An HTTP proxy with the faults that networks have, which a test switches while browsers use it.

It gives pages of the test's own too: of the gateway's origin, and there whatever becomes of the gateway.
"""

import asyncio
import contextlib
import math
import mimetypes
import re
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path

from tests.support.tcp_server import accepting

PAGES_PATH = "/pages/"
"""Below it are the test's own pages."""
DELAY_SECONDS = 0.3
_CHUNK = 65_536
_ABORTING = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What is wrong with the way to the gateway."""

    NONE = auto()
    STALL = auto()
    """Nothing of an answer gets through, and nothing ends; what was held goes on once the fault is over."""
    BUFFER = auto()
    """An answer gets through once it has ended: a stream never does."""
    DELAY = auto()
    """What is sent arrives DELAY_SECONDS later."""
    SPLIT = auto()
    """Each byte arrives alone."""
    BAD_GATEWAY = auto()
    """502 in place of an answer. Those that have begun go on."""
    REFUSE = auto()
    """A reset in place of an answer. Those that have begun go on."""


class Exchange:
    """One request on its way, and what there is of the answer.

    `began_at` and `ended_at` are the loop's time; the latter is infinite while it is under way.
    """

    def __init__(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        self.method, self.target = head.split(b" ", 2)[:2]
        self.head = head
        self.writer = writer
        self.pieces: list[bytes] = []
        self.sent_bytes = 0
        self.has_ended = False
        self.is_silent = False
        self.began_at = asyncio.get_running_loop().time()
        self.ended_at = math.inf

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode()

    def gets_through(self, fault: Fault, stalled_after: int) -> bool:
        """Whether something of the answer, or its end, may go to the client."""
        if self.is_silent or (fault is Fault.STALL and self.sent_bytes >= stalled_after):
            return False
        return self.has_ended or (bool(self.pieces) and fault is not Fault.BUFFER)

    def take(self, size: int | None) -> bytes:
        """What there is of the answer, `size` bytes of it at most; the rest stays."""
        data = b"".join(self.pieces)
        taken = data[:size]
        self.pieces[:] = [data[len(taken) :]] if len(taken) < len(data) else []
        self.sent_bytes += len(taken)
        return taken


class FaultyProxy:
    """In front of 127.0.0.1:`target_port`, which may change. One connection carries one request.

    `requests` are the exchanges so far, in order, and `open` those that are under way; pages are neither.
    `added` are files from elsewhere that are given as pages, by name.
    """

    def __init__(self, target_port: int, pages: Path) -> None:
        self.target_port = target_port
        self.port = 0
        self.requests: list[Exchange] = []
        self.open: set[Exchange] = set()
        self.added: dict[str, Path] = {}
        self._pages = pages
        self._fault = Fault.NONE
        self._paths: Sequence[str] = ()
        self._stalled_after = 0
        self._changed = asyncio.Condition()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def become(self, fault: Fault, *paths: str, after: int = 0) -> None:
        """From now on has that fault, for requests of these paths alone where some are named.

        Answers stall only once `after` bytes of them have got through.
        """
        async with self._changed:
            self._fault, self._paths, self._stalled_after = fault, paths, after
            self._changed.notify_all()

    def silence(self, *paths: str) -> int:
        """Lets nothing through any more of the open exchanges, for good; gives how many there are.

        So it is after a sleep, when the other side is gone and neither is told.
        """
        silenced = self._named(paths)
        for exchange in silenced:
            exchange.is_silent = True
        return len(silenced)

    def cut(self, *paths: str) -> int:
        """Ends the open exchanges (of these paths) in the midst of what they carry; gives how many."""
        return self._end(paths, aborting=False)

    def reset(self, *paths: str) -> int:
        """As `cut`, with RST."""
        return self._end(paths, aborting=True)

    def asked(self, path: str) -> list[Exchange]:
        """The requests for that path so far."""
        return [exchange for exchange in self.requests if exchange.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. Raises OSError or EOFError where either side ends it first."""
        exchange = Exchange(await reader.readuntil(b"\r\n\r\n"), writer)
        if exchange.path.startswith(PAGES_PATH):
            await self._give_page(exchange)
            return
        self.requests.append(exchange)
        self.open.add(exchange)
        try:
            await self._carry(exchange, reader)
        finally:
            exchange.ended_at = asyncio.get_running_loop().time()
            self.open.discard(exchange)
            writer.close()

    def _fault_of(self, exchange: Exchange) -> Fault:
        return self._fault if not self._paths or exchange.path in self._paths else Fault.NONE

    async def _give_page(self, exchange: Exchange) -> None:
        name = Path(exchange.path).name
        file = self.added.get(name, self._pages / name)
        kind = mimetypes.guess_type(file.name)[0] or "text/plain"
        body = file.read_bytes()
        fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close"
        exchange.writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + body)
        await exchange.writer.drain()
        exchange.writer.close()

    async def _carry(self, exchange: Exchange, reader: asyncio.StreamReader) -> None:
        fault = self._fault_of(exchange)
        if fault is Fault.REFUSE:
            _abort(exchange.writer)
            return
        if fault is Fault.BAD_GATEWAY:
            exchange.writer.write(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await exchange.writer.drain()
            return
        try:
            answers, upstream = await asyncio.open_connection("127.0.0.1", self.target_port)
        except ConnectionError:
            _abort(exchange.writer)
            return
        # The end of the answer is then the end of the connection, which needs no framing to see.
        upstream.write(re.sub(rb"(?mi)^connection:[^\r]*", b"Connection: close", exchange.head, count=1))
        ways = {
            asyncio.ensure_future(_send(reader, upstream)),
            asyncio.ensure_future(self._give(exchange)),
        }
        reading = asyncio.ensure_future(self._read(answers, exchange))
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            upstream.close()
            for way in (*ways, reading):
                way.cancel()
            await asyncio.gather(*ways, reading, return_exceptions=True)

    async def _read(self, answers: asyncio.StreamReader, exchange: Exchange) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await answers.read(_CHUNK):
                async with self._changed:
                    exchange.pieces.append(piece)
                    self._changed.notify_all()
        async with self._changed:
            exchange.has_ended = True
            self._changed.notify_all()

    async def _give(self, exchange: Exchange) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(
                    lambda: exchange.gets_through(self._fault_of(exchange), self._stalled_after)
                )
            fault = self._fault_of(exchange)
            left = self._stalled_after - exchange.sent_bytes if fault is Fault.STALL else None
            data = exchange.take(left)
            if not data:
                return
            if fault is Fault.DELAY:
                await asyncio.sleep(DELAY_SECONDS)
            size = 1 if fault is Fault.SPLIT else len(data)
            for start in range(0, len(data), size):
                exchange.writer.write(data[start : start + size])
                await exchange.writer.drain()
                await asyncio.sleep(0)

    def _named(self, paths: Sequence[str]) -> list[Exchange]:
        return [exchange for exchange in self.open if not paths or exchange.path in paths]

    def _end(self, paths: Sequence[str], *, aborting: bool) -> int:
        ended = self._named(paths)
        for exchange in ended:
            if aborting:
                _abort(exchange.writer)
            else:
                exchange.writer.close()
        return len(ended)


def _abort(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTING)
    writer.transport.abort()


async def _send(reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
    """Passes on what the client sends, until it closes its side."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            upstream.write(data)
            await upstream.drain()


@asynccontextmanager
async def faulty_proxy(target_port: int, pages: Path) -> AsyncIterator[FaultyProxy]:
    """A proxy on a free port of 127.0.0.1, which closes everything at the end."""
    proxy = FaultyProxy(target_port, pages)
    async with accepting(proxy.serve) as proxy.port:
        yield proxy
