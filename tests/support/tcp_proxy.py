"""A TCP proxy in front of a socket in the file system, whose connections can be cut or fall silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_CHUNK = 65_536


class TcpProxy:
    """Forwards every connection to `target`; `port` is where it listens."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        self.connections += 1
        answers, upstream = await asyncio.open_unix_connection(self._target)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, upstream))
            group.create_task(self._pump(answers, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_CHUNK):
                    # Whoever is silent loses what is sent, and learns nothing.
                    if writer not in self._silent:
                        writer.write(data)
                        await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    def silence(self) -> None:
        """Nothing gets through any more on the connections that there are now, and none of them ends."""
        self._silent |= self._writers

    def cut(self) -> None:
        """Ends the connections that there are now."""
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def tcp_proxy(target: Path) -> AsyncIterator[TcpProxy]:
    """A proxy on a free port of 127.0.0.1, which lets go of everything at the end."""
    proxy = TcpProxy(target)
    tasks: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(proxy.serve(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
