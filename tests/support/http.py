"""A strict HTTP/1 client on plain sockets: sends what it is told to, byte for byte, and mends nothing.

No library, so that a test can send what no library would, and sees framing that a library would hide.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from multidict import CIMultiDict

DEADLINE_SECONDS = 60.0
"""When a test gives up waiting for something; nothing takes that long unless it is broken."""

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Connection:
    """One TCP connection to the gateway. Everything that waits gives up after DEADLINE_SECONDS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.version = "HTTP/1.1"

    @classmethod
    async def open(cls, port: int, *, receive_buffer: int | None = None) -> "Connection":
        """`receive_buffer` is what the kernel keeps for a client that does not read: megabytes by default."""
        client = socket.socket()
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.setblocking(False)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
                return cls(*await asyncio.open_connection(sock=client))
        except BaseException:
            client.close()
            raise

    @property
    def local_port(self) -> int:
        """The client's port, by which the server's end can be found."""
        return int(self._writer.get_extra_info("sockname")[1])

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._writer.drain()

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes | None = None,
        version: str = "HTTP/1.1",
    ) -> None:
        """Sends a request, with Host and Content-Length where they are due, and with nothing else."""
        self.version = version
        names_host = any(name == "Host" for name, _ in headers)
        given = [*headers] if names_host else [("Host", "localhost"), *headers]
        if body is not None and not any(name.lower() == "transfer-encoding" for name, _ in given):
            given.append(("Content-Length", str(len(body))))
        lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in given)]
        await self.send("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (body or b""))

    async def head(self) -> tuple[int, CIMultiDict[str]]:
        """The status and headers of the next answer."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            text = (await self._reader.readuntil(b"\r\n\r\n")).decode("ascii")
        status_line, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
        version, status, _ = status_line.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), status_line
        headers: CIMultiDict[str] = CIMultiDict()
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon, line
            assert name == name.strip(), line
            headers.add(name, value.strip())
        return int(status), headers

    async def response(self, *, to_head: bool = False) -> Response:
        """The next answer, whole. `to_head` says that it answers a HEAD request."""
        status, headers = await self.head()
        parts = [] if to_head or status in (204, 304) else [part async for part in self.body(headers)]
        return Response(status, headers, b"".join(parts))

    async def body(self, headers: CIMultiDict[str]) -> AsyncIterator[bytes]:
        """The parts of a body as they come; ends only where the framing says that it ends."""
        if headers.get("Transfer-Encoding") == "chunked":
            assert "Content-Length" not in headers
            async for part in self._chunks():
                yield part
        elif "Content-Length" in headers:
            async with asyncio.timeout(DEADLINE_SECONDS):
                yield await self._reader.readexactly(int(headers["Content-Length"]))
        else:
            while part := await self._read():
                yield part

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            async with asyncio.timeout(DEADLINE_SECONDS):
                size = int(await self._reader.readuntil(b"\r\n"), 16)
                chunk = await self._reader.readexactly(size + 2)
            assert chunk.endswith(b"\r\n"), chunk
            if size == 0:
                return
            yield chunk[:-2]

    async def _read(self) -> bytes:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._reader.read(65_536)

    async def ended(self) -> bytes:
        """Waits until the server ends the connection, in whatever way, and gives what came before."""
        parts = []
        try:
            while part := await self._read():
                parts.append(part)
        except ConnectionError:
            pass
        return b"".join(parts)

    def half_close(self) -> None:
        """Sends FIN: the client has nothing more to say, and still listens."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Goes away with RST, without FIN."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            # The server, or `reset`, was quicker.
            return


@asynccontextmanager
async def connect(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[Connection]:
    """A connection that is closed at the end."""
    connection = await Connection.open(port, receive_buffer=receive_buffer)
    try:
        yield connection
    finally:
        await connection.close()
