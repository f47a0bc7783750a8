"""SIGTERM: every stream is told when to come back, and the process ends with 0 in time (section 12)."""

import asyncio
import socket

import pytest

from gateway.http.front_door import FRONT_DOOR
from tests.support.api import EVENTS, JSON, POLL, Client, assert_problem, event, eventually
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.http import connect

CONFIG = "[server]\ndrain_seconds = {}\n[stream]\nretry_ms = 1000\n"


async def test_sigterm_sends_every_stream_away_and_ends_with_0(serve):
    served = serve(CONFIG.format(10))
    client = Client(served.port)
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read_to_the_end(client)) for _ in range(20)]
        await client.metric_becomes("tidegate_streams", 20)
        served.terminate()
    endings = [reader.result() for reader in readers]

    assert await served.exit_code() == 0
    for bye in endings:
        assert (bye.event, bye.id) == ("bye", None)
        assert bye.data == {"reason": "drain", "reconnect": True, "retryMs": bye.retry}
        assert 500 <= bye.data["retryMs"] <= 2000
    assert len({bye.data["retryMs"] for bye in endings}) > 1
    assert "event=stopping" in served.log()
    assert "event=drain_incomplete" not in served.log()


async def test_what_has_come_before_connections_are_closed_is_answered(flagged, admin):
    await admin.make(stage="off")
    path = f"{EVENTS}?component=orders"
    async with connect(flagged.port) as connection:
        await connection.request("GET", path)
        assert (await connection.response()).status == 204

        def come_and_close():
            door = flagged.app[FRONT_DOOR]
            [resting] = door.idle
            resting.data_received(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            door.close_idle()

        flagged.call(come_and_close)
        assert (await connection.response()).status == 204
        assert await connection.ended() == b""


async def read_to_the_end(client):
    """The last frame of a stream, which has to end as HTTP's chunks do."""
    async with client.stream() as stream:
        frames = await stream.rest()
        assert await stream.connection.ended() == b""
    return frames[-1]


async def test_a_stream_without_chunks_ends_with_its_connection(serve):
    served = serve(CONFIG.format(10))
    client = Client(served.port)
    async with client.stream(version="HTTP/1.0") as stream:
        await stream.connected()
        served.terminate()
        *_, bye = await stream.rest()

    assert bye.data["reason"] == "drain"
    assert await served.exit_code() == 0


async def test_what_was_published_before_sigterm_is_delivered_before_the_bye(serve):
    # What comes within half a second of the last flush waits for the next one.
    served = serve(CONFIG.format(10) + "coalesce_ms = 500\n")
    client = Client(served.port)
    async with client.stream() as stream:
        await stream.connected()
        ids = await client.publish(event(0))
        await client.metric_becomes("tidegate_unflushed_events", 0)
        ids += await client.publish(*(event(n) for n in range(1, 500)))
        served.terminate()
        frames = await stream.rest()

    assert [frame.id for frame in frames if frame.event == "stage_change"] == ids
    assert frames[-1].event == "bye"
    assert await served.exit_code() == 0


async def test_a_client_that_never_reads_does_not_hold_the_end_up(serve):
    served = serve(CONFIG.format(0.5))
    client = Client(served.port)
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect(("127.0.0.1", served.port))
        silent.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        async with client.stream({"entity": "invoice"}) as stream:
            await stream.connected()
            await client.metric_becomes("tidegate_streams", 2)
            for n in range(150):
                await client.publish(event(n, data={"padding": "x" * 50_000}))
            await client.metric_becomes("tidegate_streams_lagging", 1)
            served.terminate()
            *_, bye = await stream.rest()

        assert await served.exit_code() == 0

    assert bye.data["reason"] == "drain"
    assert "event=drain_incomplete" in served.log()


async def test_a_long_poll_and_a_half_sent_request_do_not_hold_the_end_up(serve):
    served = serve(CONFIG.format(10))
    client = Client(served.port)
    async with connect(served.port) as half_sent, connect(served.port) as idle:
        await idle.request("GET", "/healthz")
        await idle.response()
        await half_sent.request("POST", EVENTS, headers=[JSON, ("Content-Length", "100")])
        waiting = asyncio.create_task(client.get(POLL, {"wait": "60"}))
        await client.metric_becomes("tidegate_groups", 1)
        served.terminate()
        answer = await waiting

        assert await served.exit_code() == 0

    assert (answer.status, answer.json["events"]) == (200, [])


async def test_a_second_sigterm_changes_nothing(serve):
    served = serve(CONFIG.format(10))
    client = Client(served.port)
    async with client.stream() as stream:
        await stream.connected()
        served.terminate()
        served.terminate()
        *_, bye = await stream.rest()

    assert bye.data["reason"] == "drain"
    assert await served.exit_code() == 0


@EVERY_WAY
async def test_while_it_drains_a_gateway_is_not_ready_and_sends_new_streams_away(start_gateway, way):
    gateway = start_gateway(make_settings(server={"drain_seconds": 10}), way=way)
    client = Client(gateway.port)
    async with client.stream() as held:
        await held.connected()
        gateway.loop.call_soon_threadsafe(gateway.parts.delivery.hub.drain)
        ended = await held.rest()
        ready = await client.get("/readyz")
        async with client.stream() as late:
            frames = await late.rest()

    assert ended[-1].data["reason"] == "drain"
    assert_problem(ready, 503)
    assert ready.json["reasons"]
    assert (await client.get("/healthz")).status == 200
    [bye] = frames
    assert bye.event == "bye"
    assert bye.data == {"reason": "drain", "reconnect": True, "retryMs": bye.retry}


@pytest.mark.parametrize("drain_seconds", [0, 10])
@EVERY_WAY
async def test_a_gateway_that_has_ended_leaves_no_connection_open(start_gateway, way, drain_seconds):
    gateway = start_gateway(make_settings(server={"drain_seconds": drain_seconds}), way=way)
    client = Client(gateway.port)
    async with client.stream() as stream:
        await stream.connected()
        await asyncio.to_thread(gateway.stop)
        await stream.connection.ended()

    async def is_refused():
        try:
            async with connect(client.port):
                return False
        except ConnectionRefusedError:
            return True

    await eventually(is_refused, "nobody listens")
