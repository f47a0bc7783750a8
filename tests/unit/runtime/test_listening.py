"""asyncio's server accepts a connection in one turn of the loop, and makes its transport in the next."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.http.server import GatewayRunner, GatewaySite
from gateway.runtime.listening import stop_accepting
from tests.support.command import relay
from tests.support.gateway import LOOPS
from tests.support.http import DEADLINE_SECONDS
from tests.support.tcp_server import accepting
from tests.support.upstream import STALL_SECONDS

TURNS = range(12)
"""How many turns a client has, after which its server stops: the kernel has it, the server, its protocol."""


async def connected_for(turns: int, address: tuple[str, int]) -> socket.socket:
    """A client of what listens there, some turns of the loop after it connected."""
    client = socket.create_connection(address)
    client.setblocking(False)
    for _ in range(turns):
        await asyncio.sleep(0)
    return client


async def is_ended(client: socket.socket) -> bool:
    """Whether a connection on which the server has nothing to say is closed or reset."""
    with client, contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await asyncio.get_running_loop().sock_recv(client, 1) == b""
    return True


@contextlib.asynccontextmanager
async def a_site() -> AsyncIterator[tuple[str, int]]:
    runner = GatewayRunner(web.Application())
    await runner.setup()
    try:
        await GatewaySite(runner, "127.0.0.1", 0, STALL_SECONDS).start()
        yield runner.addresses[0]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def a_server() -> AsyncIterator[tuple[str, int]]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        await stop_accepting(server)
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def a_server_of_tests() -> AsyncIterator[tuple[str, int]]:
    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with accepting(listen) as port:
        yield "127.0.0.1", port


@contextlib.asynccontextmanager
async def a_relay() -> AsyncIterator[tuple[str, int]]:
    """Closes both of its ends: what it has connected to sees the end of the other one."""
    far: list[asyncio.StreamReader] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        far.append(reader)
        await asyncio.Event().wait()

    async with accepting(listen) as target:
        async with relay(target) as running:
            yield "127.0.0.1", running.port
        async with asyncio.timeout(DEADLINE_SECONDS):
            for reader in far:
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("serve", [a_server, a_site, a_server_of_tests, a_relay])
def test_no_connection_is_left_open_by_a_listener_that_stops(serve, turns, loop):
    async def run() -> bool:
        async with serve() as address:
            client = await connected_for(turns, address)
        return await is_ended(client)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        assert runner.run(run())
