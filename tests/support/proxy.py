"""A TCP proxy that cuts connections in the middle of what the gateway sends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.support.tcp_server import accepting


class CuttingProxy:
    """Cuts the n-th request's answer after `cuts[n]` bytes; later ones live.

    `requests` are the requests as they came, one a connection, and `answers` what the answers began with;
    what a client sends after its request is not forwarded.
    """

    def __init__(self, gateway_port: int, cuts: Sequence[int]) -> None:
        self._gateway_port = gateway_port
        self._cuts = list(cuts)
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. Raises OSError or EOFError where either side ends it first."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            await self._answer(request, writer)
        finally:
            await _close(writer)

    async def _answer(self, request: bytes, client: asyncio.StreamWriter) -> None:
        left = self._cuts.pop(0) if self._cuts else None
        is_begun = False
        answer, gateway = await asyncio.open_connection("127.0.0.1", self._gateway_port)
        try:
            gateway.write(request)
            while (left is None or left > 0) and (data := await answer.read(left or 65_536)):
                if not is_begun:
                    self.answers.append(data)
                    is_begun = True
                left = None if left is None else left - len(data)
                client.write(data)
                await client.drain()
        finally:
            await _close(gateway)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def cutting_proxy(gateway_port: int, cuts: Sequence[int]) -> AsyncIterator[CuttingProxy]:
    """A proxy on a free port, which closes everything at the end."""
    proxy = CuttingProxy(gateway_port, cuts)
    async with accepting(proxy.serve) as proxy.port:
        yield proxy
