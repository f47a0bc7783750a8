"""Sockets of streams: what is written arrives whole, and what happens to a connection the hub hears of."""

import asyncio
import os
import select
import socket
import struct

import pytest

from gateway.delivery.handover import give
from gateway.delivery.sockets import EVENTS_A_TURN, StreamSockets
from tests.support.gateway import LOOPS
from tests.support.loop import in_time

HIGH_BYTES = 65_536
MUCH = os.urandom(8_000_000)
"""More than the kernel takes for a client that does not read."""


class Heard:
    """A hub that writes down what it is told of the connections; a subscriber is a name."""

    def __init__(self):
        self.clogs, self.drains, self.ends = [], [], []

    def clogged(self, subscriber):
        self.clogs.append(subscriber)

    def drained(self, subscriber):
        self.drains.append(subscriber)

    def lost(self, subscriber):
        self.ends.append(subscriber)


class World:
    """A server whose connections are given to `sockets` as they come, and clients of it."""

    def __init__(self, high_bytes=HIGH_BYTES):
        self.hub = Heard()
        self.sockets = StreamSockets(self.hub, asyncio.get_running_loop(), high_bytes)
        self.streams = {}
        self.transports = {}
        self.clients = []

    async def __aenter__(self):
        self.sockets.start()
        return self

    async def __aexit__(self, *_):
        self.sockets.close()
        for client in self.clients:
            client.close()

    async def transport(self, name):
        """The server's transport of a new client's connection."""
        made = asyncio.get_running_loop().create_future()

        class Accepting(asyncio.Protocol):
            def connection_made(self, transport):
                made.set_result(transport)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Accepting, "127.0.0.1", 0)
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self.clients.append(client)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        transport = self.transports[name] = await made
        server.close()
        return client, transport

    async def open(self, name="one"):
        """A client, and what its stream writes to."""
        client, transport = await self.transport(name)

        def attach(own):
            self.streams[name] = own
            return name

        assert give(transport, self.sockets, attach) == name
        return client, self.streams[name]

    async def read(self, client, size):
        """So many bytes from the server."""
        data = bytearray()
        while len(data) < size:
            part = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, size - len(data)), 60)
            assert part, f"the connection ended after {len(data)} of {size} bytes"
            data += part
        return bytes(data)

    async def rest(self, client):
        """All up to the end of the connection."""
        parts = []
        while part := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1 << 20), 60):
            parts.append(part)
        return b"".join(parts)


@pytest.fixture(params=sorted(LOOPS))
def run(request):
    """Runs a test's coroutine on a loop of each kind."""

    def run_on_it(coroutine):
        failures = []
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: failures.append(context))
            runner.run(coroutine)
        assert failures == []

    return run_on_it


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_what_is_written_arrives_and_the_transport_is_done_with(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            stream.write(b"hello")
            await in_time(world.transports["one"].is_closing, "the transport ends")
            stream.write(b", stream")

            assert await world.read(client, 13) == b"hello, stream"
            assert stream.get_write_buffer_size() == 0
            assert world.hub.ends == []

    run(check())


def test_what_the_kernel_has_no_room_for_follows_in_order(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            stream.write(MUCH)
            assert world.hub.clogs == ["one"]
            left = stream.get_write_buffer_size()
            assert left > HIGH_BYTES
            stream.write(b"behind")
            assert stream.get_write_buffer_size() == left + 6
            assert world.hub.clogs == ["one"], "it is told once"
            assert world.hub.drains == []

            assert await world.read(client, len(MUCH) + 6) == MUCH + b"behind"
            await in_time(lambda: world.hub.drains == ["one"], "the hub hears that there is room again")
            assert stream.get_write_buffer_size() == 0
            stream.write(b"again")
            assert await world.read(client, 5) == b"again"
            assert world.hub.clogs == world.hub.drains == ["one"]

    run(check())


def test_a_little_that_waits_clogs_nobody(run):
    async def check():
        async with World(high_bytes=len(MUCH)) as world:
            client, stream = await world.open()
            stream.write(MUCH)
            assert 0 < stream.get_write_buffer_size() <= len(MUCH)

            assert await world.read(client, len(MUCH)) == MUCH
            await in_time(lambda: not stream.get_write_buffer_size(), "all is sent")
            assert world.hub.clogs == world.hub.drains == []

    run(check())


def test_it_is_clogged_until_no_more_than_a_quarter_waits(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            stream.write(MUCH)
            drained_at = []
            world.hub.drained = lambda _: drained_at.append(stream.get_write_buffer_size())
            await world.read(client, len(MUCH))
            await in_time(lambda: drained_at, "the hub hears that there is room again")

            assert drained_at[0] <= HIGH_BYTES // 4

    run(check())


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
def test_the_end_that_a_client_makes_is_heard_of_once(run, how):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            if how == "half-close":
                client.shutdown(socket.SHUT_WR)
            elif how == "reset":
                reset(client)
            else:
                client.close()
            await in_time(lambda: world.hub.ends, "the hub hears of the end")
            stream.write(b"too late")
            stream.abort()
            await asyncio.sleep(0)

            assert world.hub.ends == ["one"]

    run(check())


def test_what_a_client_sends_is_ignored(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\n\r\n" * 20_000)
            stream.write(b"yes")

            assert await world.read(client, 3) == b"yes"
            assert world.hub.ends == []

    run(check())


def test_close_sends_what_waits_first(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            stream.write(MUCH)
            stream.close()
            stream.close()
            client.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0)
            assert world.hub.ends == []

            assert await world.rest(client) == MUCH
            await in_time(lambda: world.hub.ends == ["one"], "the hub hears of the end")
            assert world.hub.drains == []

    run(check())


def test_a_client_that_closes_its_sending_side_gets_what_waits(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            stream.write(MUCH)
            client.shutdown(socket.SHUT_WR)

            assert await world.rest(client) == MUCH
            await in_time(lambda: world.hub.ends == ["one"], "the hub hears of the end")

    run(check())


@pytest.mark.parametrize("how", ["abort", "close"])
def test_the_hub_hears_of_its_own_end_in_a_later_turn(run, how):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            getattr(stream, how)()
            assert world.hub.ends == []
            assert await world.rest(client) == b""
            await in_time(lambda: world.hub.ends == ["one"], "the hub hears of the end")

    run(check())


def test_abort_drops_what_waits(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            stream.write(MUCH)
            stream.abort()
            assert stream.get_write_buffer_size() == 0

            assert len(await world.rest(client)) < len(MUCH)
            assert world.hub.ends == ["one"]

    run(check())


def test_a_reset_while_bytes_wait_ends_it(run):
    async def check():
        async with World() as world:
            client, stream = await world.open()
            stream.write(MUCH)
            reset(client)
            await in_time(lambda: world.hub.ends == ["one"], "the hub hears of the end")
            assert stream.get_write_buffer_size() == 0

    run(check())


def test_more_ends_than_a_turn_sees_to_are_all_heard_of(run):
    async def check():
        async with World() as world:
            count = EVENTS_A_TURN + 20
            for number in range(count):
                await world.open(number)
            for client in world.clients:
                client.close()
            await in_time(lambda: len(world.hub.ends) == count, "the hub hears of all ends")
            assert sorted(world.hub.ends) == list(range(count))

    run(check())


def test_a_descriptor_that_is_used_again_belongs_to_the_new_stream(run):
    async def check():
        async with World() as world:
            before = set()
            for name in range(20):
                client, stream = await world.open(name)
                stream.write(b"%d" % name)
                assert await world.read(client, len(str(name))) == b"%d" % name
                stream.abort()
                before.add(stream)
                for ended in before:
                    ended.write(b"never")
                    ended.close()
            await in_time(lambda: len(world.hub.ends) == 20, "the hub hears of all ends")
            assert world.hub.ends == list(range(20))

    run(check())


def test_no_descriptor_is_left(run):
    async def check():
        async with World() as world:  # what the loop opens for itself stays
            await world.open()
        before = len(os.listdir("/proc/self/fd"))
        async with World() as world:
            for name in range(10):
                await world.open(name)
        await in_time(lambda: len(os.listdir("/proc/self/fd")) <= before, "all descriptors are closed")
        await in_time(lambda: sorted(world.hub.ends) == list(range(10)), "the hub hears of all ends")

    run(check())


def test_where_the_transport_has_bytes_to_send_it_stays(run):
    async def check():
        async with World() as world:
            client, transport = await world.transport("one")
            transport.write(MUCH)
            assert world.sockets.take(transport) is None
            assert give(transport, world.sockets, lambda own: "one") == "one"

            assert await world.read(client, len(MUCH)) == MUCH
            transport.abort()
            await in_time(lambda: world.hub.ends == ["one"], "the hub hears of the end")

    run(check())


def test_without_a_descriptor_for_it_the_connection_stays_with_its_transport(run, monkeypatch):
    def refuse(_):
        raise OSError("too many open files")

    async def check():
        async with World() as world:
            client, transport = await world.transport("one")
            monkeypatch.setattr(os, "dup", refuse)
            assert world.sockets.take(transport) is None
            transport.write(b"still")
            assert await world.read(client, 5) == b"still"
            transport.abort()

    run(check())


def test_a_connection_with_tls_keeps_its_transport(run):
    async def check():
        async with World() as world:
            _, transport = await world.transport("one")

            class Encrypted:
                get_write_buffer_size = transport.get_write_buffer_size

                def get_extra_info(self, name, default=None):
                    return "TLS" if name == "sslcontext" else transport.get_extra_info(name, default)

            assert world.sockets.take(Encrypted()) is None
            assert world.sockets.take(transport) is not None
            transport.abort()

    run(check())


def test_where_there_is_no_epoll_connections_keep_their_transports(run, monkeypatch):
    monkeypatch.delattr(select, "epoll")
    own = StreamSockets(Heard(), None, HIGH_BYTES)
    own.start()
    monkeypatch.undo()

    async def check():
        async with World() as world:
            _, transport = await world.transport("one")
            assert own.take(transport) is None
            own.close()
            transport.abort()

    run(check())


def test_a_stream_that_can_not_be_attached_leaves_the_transport_as_it_was(run):
    async def check():
        async with World() as world:
            client, transport = await world.transport("one")

            def refuse(own):
                raise RuntimeError("no")

            with pytest.raises(RuntimeError):
                give(transport, world.sockets, refuse)
            await asyncio.sleep(0)
            assert world.hub.ends == []
            transport.write(b"sorry")
            assert await world.read(client, 5) == b"sorry"
            transport.abort()

    run(check())


def test_closed_it_takes_no_connection_and_has_ended_those_it_had(run):
    async def check():
        async with World() as world:
            client, _ = await world.open()
            world.sockets.close()
            world.sockets.close()
            assert await world.rest(client) == b""
            assert world.hub.ends == ["one"]
            _, transport = await world.transport("two")
            assert world.sockets.take(transport) is None
            transport.abort()

    run(check())
