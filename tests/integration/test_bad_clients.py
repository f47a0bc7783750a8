"""Clients that do not read, vanish, talk out of turn or come as a crowd: nobody else notices.

A peer that vanishes without a packet, as with a pulled cable, can't be had on loopback: the kernel that
knows the socket is gone answers for it. What comes nearest is a socket that is closed in TCP_REPAIR mode,
which sends neither FIN nor RST; the next write to it then meets a RST. The case in which nothing answers at
all is left to the kernel's TCP_USER_TIMEOUT, of which the tests see that it is set.
"""

import asyncio
import socket
import sys
from contextlib import AsyncExitStack

import psutil
import pytest

from gateway.delivery.pace import Pace
from tests.support.api import EVENTS, HISTORY, POLL, Client, Stream, event, eventually, numbers, target
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.http import Connection, connect

TCP_REPAIR = 19
IMPATIENT = make_settings(stream={"stall_seconds": 2.0, "retry_ms": 500})
"""Sends clients away that read nothing for long enough that those who do read are safe on a slow machine."""
PADDING = "x" * 50_000
SMALL = 65_536
"""Bytes that a client's kernel keeps for it: little against what is published."""

STREAM_REQUEST = f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

VICTIM = """
import signal, socket, sys
sockets = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(20)]
for each in sockets:
    each.sendall(sys.argv[2].encode())
for each in sockets:
    received = b""
    while b"event: connected" not in received:
        received += each.recv(65536)
print("connected", flush=True)
signal.pause()
"""


QUICK = Pace(sweep_seconds=0.05, bye_seconds=0.2)
"""Looks for stalled clients, and gives them up after their `bye`, sooner than every 1 and 5 seconds."""
PATIENT = Pace(sweep_seconds=0.05, bye_seconds=60.0)
"""For one that reads only once all is published, which may take a while."""


@pytest.fixture
def deaf():
    """Opens streams that are never read, with as little room in the kernel as can be had."""
    opened = []

    def open_stream(port, query=()):
        client = socket.socket()
        opened.append(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET {target(EVENTS, query)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return client

    yield open_stream
    for client in opened:
        client.close()


async def flood(client, count):
    """Publishes `count` events of 50 KB each."""
    for n in range(count):
        await client.publish(event(n, data={"n": n, "padding": PADDING}))


@EVERY_WAY
async def test_a_client_that_never_reads_is_cut_off_and_the_others_get_everything(start_gateway, way, deaf):
    client = Client(start_gateway(IMPATIENT, way=way, pace=QUICK).port)
    async with client.stream() as bystander:
        await bystander.connected()
        silent = deaf(client.port)
        await client.metric_becomes("tidegate_streams", 2)
        reading = asyncio.create_task(bystander.take(150))
        await flood(client, 150)
        received = await reading
        await client.metric_becomes("tidegate_byes_total", 1, reason="slow_consumer")
        await client.metric_becomes("tidegate_streams", 1)

        async def is_gone():
            ends = psutil.Process().net_connections("tcp")
            return not [end for end in ends if end.raddr and end.raddr.port == silent.getsockname()[1]]

        await eventually(is_gone, "the gateway closed the socket")

    assert numbers(received) == list(range(150))
    assert await client.metric("tidegate_lagged_total") >= 1
    assert await client.metric("tidegate_streams_lagging") == 0


@EVERY_WAY
async def test_a_client_that_is_given_up_and_reads_at_last_finds_out_why(start_gateway, way):
    client = Client(start_gateway(IMPATIENT, way=way, pace=PATIENT).port)
    async with client.stream(receive_buffer=SMALL) as slow:
        await flood(client, 150)
        await client.metric_becomes("tidegate_byes_total", 1, reason="slow_consumer")
        frames = await slow.rest()
    received = numbers([frame.data for frame in frames if frame.event == "stage_change"])
    async with client.stream({"lastEventId": slow.last_event_id}) as resumed:
        await resumed.connected()
        received += numbers(await resumed.take(150 - len(received)))

    bye = frames[-1]
    assert bye.event == "bye"
    assert bye.id is None
    assert bye.data == {"reason": "slow_consumer", "reconnect": True, "retryMs": bye.retry}
    assert received == list(range(150))


@EVERY_WAY
async def test_a_client_that_falls_behind_and_reads_on_gets_everything_once_and_in_order(start_gateway, way):
    client = Client(start_gateway(way=way).port)
    async with client.stream(receive_buffer=SMALL) as slow:
        await slow.connected()
        await flood(client, 150)
        await client.metric_becomes("tidegate_streams_lagging", 1)
        first = await slow.take(150)
        await client.metric_becomes("tidegate_streams_lagging", 0)
        await client.publish(event(150))
        received = numbers(first + await slow.take(1))

    assert received == list(range(151))
    assert await client.metric("tidegate_byes_total") == 0


@EVERY_WAY
async def test_a_client_that_falls_off_the_history_is_reset_in_band_and_lives_on(start_gateway, way):
    client = Client(start_gateway(make_settings(history={"max_events": 10}), way=way).port)
    async with client.stream(receive_buffer=SMALL) as slow:
        await slow.connected()
        await flood(client, 150)
        await client.metric_becomes("tidegate_streams_lagging", 1)
        await client.metric_becomes("tidegate_unflushed_events", 0)
        frame = await slow.next()
        received = []
        while frame.event != "reset":
            received.append(frame.data["data"]["n"])
            frame = await slow.next()
        head = await client.now()
        await client.publish(event(150))
        after = numbers(await slow.take(1))

    assert received == list(range(len(received)))
    assert (frame.data["reason"], frame.id) == ("trimmed", head)
    assert after == [150]


async def test_clients_that_never_read_cost_no_memory(serve, deaf):
    served = serve("[stream]\nstall_seconds = 3600\n[history]\nmax_bytes = 1_000_000\n")
    client = Client(served.port)
    batch = [event(n, data={"n": n, "padding": PADDING}) for n in range(20)]
    for _ in range(20):
        deaf(served.port)
    await client.metric_becomes("tidegate_streams", 20)
    for _ in range(5):
        await client.publish(*batch)
    await client.metric_becomes("tidegate_streams_lagging", 20)
    before = served.resident_bytes()
    for _ in range(60):
        await client.publish(*batch)

    await client.metric_becomes("tidegate_unflushed_events", 0)
    # 60 MB went by, and 1.2 GB to the twenty of them.
    assert served.resident_bytes() - before < 20_000_000
    assert await client.metric("tidegate_streams") == 20
    assert await client.metric("tidegate_history_bytes") <= 1_000_000


@pytest.mark.parametrize("path", [f"{POLL}?cursor=earliest&limit=1000", f"{HISTORY}?limit=1000"])
async def test_pollers_that_never_read_cost_little_memory(serve, path):
    served = serve()
    client = Client(served.port)
    for _ in range(50):
        await client.publish(*(event(n, data={"n": n, "padding": PADDING}) for n in range(20)))
    before = served.resident_bytes()
    async with AsyncExitStack() as stack:
        for _ in range(10):
            silent = await stack.enter_async_context(connect(served.port, receive_buffer=SMALL))
            await silent.request("GET", path)
            await silent.head()

        # An answer of a thousand events of 50 KB for each of them would be 500 MB.
        assert served.resident_bytes() - before < 100_000_000
        assert (await client.get("/readyz")).status == 200


@EVERY_WAY
@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
async def test_a_client_that_goes_away_is_forgotten(client, how):
    async with client.stream() as bystander:
        await bystander.connected()
        async with client.stream({"entity": "order"}) as stream:
            await stream.connected()
            await client.metric_becomes("tidegate_streams", 2)
            if how == "half-close":
                stream.connection.half_close()
            elif how == "reset":
                stream.connection.reset()
            else:
                await stream.connection.close()
            await client.metric_becomes("tidegate_streams", 1)
            await client.metric_becomes("tidegate_groups", 1)
        await client.publish(event(1))
        assert numbers(await bystander.take(1)) == [1]


@EVERY_WAY
async def test_a_client_that_vanishes_without_a_packet_is_found_by_the_next_heartbeat(start_gateway, way):
    settings = make_settings(stream={"heartbeat_seconds": 0.05})
    client = Client(start_gateway(settings, way=way).port)
    with socket.create_connection(("127.0.0.1", client.port)) as silent:
        silent.sendall(STREAM_REQUEST)
        await client.metric_becomes("tidegate_streams", 1)
        try:
            silent.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except OSError as error:
            pytest.skip(f"closing a socket without a packet takes the right to TCP_REPAIR: {error}")

    await client.metric_becomes("tidegate_streams", 0)


@EVERY_WAY
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no TCP_USER_TIMEOUT")
async def test_the_kernel_gives_up_a_peer_that_acknowledges_nothing(start_gateway, way):
    gateway = start_gateway(make_settings(stream={"stall_seconds": 12.5}), way=way)
    async with Client(gateway.port).stream() as stream:
        await stream.connected()
        assert gateway.stream_options(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == [42_500]
        [asks_the_silent] = gateway.stream_options(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert asks_the_silent


async def test_clients_whose_process_is_killed_are_forgotten(client):
    arguments = [sys.executable, "-c", VICTIM, str(client.port), STREAM_REQUEST.decode()]
    victim = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    assert victim.stdout is not None
    assert await victim.stdout.readline() == b"connected\n"
    await client.metric_becomes("tidegate_streams", 20)
    victim.kill()
    await victim.wait()

    await client.metric_becomes("tidegate_streams", 0)


async def vanish(port, number):
    """Connects and goes away again: in the middle of the request, before the answer, or in it."""
    connection = await Connection.open(port)
    if number % 4 == 0:
        await connection.send(STREAM_REQUEST[: number % len(STREAM_REQUEST)])
    else:
        await connection.send(STREAM_REQUEST)
    if number % 4 == 2:
        await connection.head()
    if number % 2:
        connection.reset()
    await connection.close()


@EVERY_WAY
async def test_a_hundred_clients_that_connect_and_vanish_at_once_leave_nothing(client, gateway):
    async with client.stream() as bystander:
        await bystander.connected()
        tasks, descriptors = gateway.task_count(), psutil.Process().num_fds()
        await asyncio.gather(*(vanish(client.port, number) for number in range(100)))
        await client.publish(event(1))
        received = await bystander.take(1)
        await client.metric_becomes("tidegate_streams", 1)

        async def nothing_is_left():
            return gateway.task_count() <= tasks and psutil.Process().num_fds() <= descriptors

        await eventually(nothing_is_left, "no task and no descriptor is left")

    assert numbers(received) == [1]
    assert await client.metric("tidegate_groups") == 0
    assert await client.metric("tidegate_problems_total", problem="internal") == 0


@EVERY_WAY
async def test_what_a_client_says_after_its_request_is_ignored(client):
    pipelined = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with connect(client.port) as connection:
        await connection.send(STREAM_REQUEST + pipelined)
        stream = Stream(connection, (await connection.head())[1])
        await stream.connected()
        await connection.send(pipelined * 10 + b"\xff\x00 and so on\r\n\r\n" + b"x" * 200_000)
        await client.publish(event(1), event(2))
        received = await stream.take(2)

    assert numbers(received) == [1, 2]
    await client.metric_becomes("tidegate_streams", 0)


@EVERY_WAY
async def test_a_stream_request_with_a_body_is_served_all_the_same(client):
    async with connect(client.port) as connection:
        await connection.request("GET", EVENTS, body=b"why not")
        stream = Stream(connection, (await connection.head())[1])
        await stream.connected()
        await client.publish(event(1))
        received = await stream.take(1)

    assert numbers(received) == [1]
    await client.metric_becomes("tidegate_streams", 0)
