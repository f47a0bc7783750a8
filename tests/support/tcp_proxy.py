"""A TCP proxy in front of a socket in the file system, whose connections can be cut or fall silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.tcp_server import accepting

_CHUNK = 65_536


class TcpProxy:
    """Forwards every connection to `target`; `port` is where it listens."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._lost_to: bytes | None = None
        self._closes = False
        self._is_open = True
        self._answers_left: int | None = None
        self.port = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        self.connections += 1
        if not self._is_open:
            writer.transport.abort()
            return
        answers, upstream = await asyncio.open_unix_connection(self._target)
        asked: list[bytes] = []

        def asks(data: bytes) -> bool:
            if self._lost_to is not None and (self._lost_to in data or self._lost_to.hex().encode() in data):
                asked.append(data)
            return True

        def answered(_: bytes) -> bool:
            if self._answers_left is not None:
                self._answers_left -= 1
            return not (asked and self._lose())

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, upstream, asks))
                group.create_task(self._pump(answers, writer, answered))
        finally:
            upstream.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[bytes], bool]
    ) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_CHUNK):
                    # Whoever is silent loses what is sent, and learns nothing.
                    if passes(data) and writer not in self._silent and not self.is_silent:
                        writer.write(data)
                        await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    def lose_answer_to(self, marker: bytes, *, and_close: bool = False) -> None:
        """Cuts all connections in place of the answer to the next request with `marker`, or its hex digits.

        The server has carried it out by then. With `and_close` no connection is taken before `open`.
        """
        self._lost_to, self._closes = marker, and_close

    def open(self) -> None:
        """Takes connections again."""
        self._is_open = True

    def _lose(self) -> bool:
        if self._lost_to is None:
            return False
        self._lost_to, self._is_open = None, not self._closes
        self.cut()
        return True

    def redirect(self, target: Path) -> None:
        """New connections go there; those that there are now stay."""
        self._target = target

    @property
    def is_silent(self) -> bool:
        """Whether nothing gets through at all, also on new connections."""
        return self._answers_left is not None and self._answers_left < 0

    def silence_after(self, answers: int) -> None:
        """After so many more answers nothing gets through any more, until the connections are cut."""
        self._answers_left = answers

    def silence(self) -> None:
        """Nothing gets through any more on the connections that there are now, and none of them ends."""
        self._silent |= self._writers

    def cut(self) -> None:
        """Ends the connections that there are now; those to come get through."""
        self._answers_left = None
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def tcp_proxy(target: Path) -> AsyncIterator[TcpProxy]:
    """A proxy on a free port of 127.0.0.1, which closes everything at the end."""
    proxy = TcpProxy(target)
    async with accepting(proxy.serve) as proxy.port:
        try:
            yield proxy
        finally:
            proxy.cut()
