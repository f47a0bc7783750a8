"""Broadcast from outside (docs/protocol.md, section 10): what is said to all who read a channel now."""

import asyncio
import socket

import pytest

from tests.support.api import EVENTS, GZIP, JSON, Client, assert_problem, event, target
from tests.support.channels import BROADCAST, say
from tests.support.clock import ManualClock
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.tokens import auth_settings, mint, static_key

pytestmark = EVERY_WAY

CHAT = {"channel": "chat"}


@pytest.fixture
def client(gateway):
    return Client(gateway.port)


async def heard(stream):
    """The data of the next broadcast, which has no id."""
    frame = await stream.until("broadcast")
    assert frame.id is None
    return frame.data


async def test_all_who_read_the_channel_hear_it_who_said_it_too_and_nobody_else(client):
    async with (
        client.stream(CHAT | {"clientId": "ana"}) as ana,
        client.stream(CHAT | {"clientId": "ben"}) as ben,
        client.stream({"channel": "other"}) as other,
        client.stream({"presence": "chat"}) as present,
    ):
        for stream in (ana, ben, other, present):
            await stream.connected()
        answer = await say(client, "chat", "typing", {"on": True}, user="ana")
        assert (answer.status, answer.body) == (202, b"")
        said = {"channel": "chat", "event": "typing", "payload": {"on": True}, "from": "ana"}
        assert await heard(ana) == said
        assert await heard(ben) == said
        await say(client, "other", "typing", {}, user="ana")
        assert (await heard(other))["channel"] == "other"
        assert (await present.until("presence")).data["type"] == "sync"
        await client.publish(event(1))
        assert (await present.next()).event == "stage_change"


async def test_what_is_said_is_heard_in_order_and_kept_nowhere(client):
    async with client.stream(CHAT) as stream:
        connected = await stream.connected()
        for number in range(20):
            assert (await say(client, "chat", "n", {"n": number}, user="ana")).status == 202
        assert [(await heard(stream))["payload"]["n"] for _ in range(20)] == [*range(20)]
        assert stream.last_event_id == connected.id
    assert (await client.get("/api/v1/sync/history")).json["events"] == []
    async with client.stream(CHAT | {"lastEventId": connected.id}) as again:
        await again.connected()
        await client.publish(event(1))
        assert (await again.next()).event == "stage_change"


async def test_a_compressed_stream_hears_the_same(start_gateway, way):
    settings = make_settings(stream={"compression": "gzip"})
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream(CHAT, headers=[GZIP]) as stream:
        await stream.connected()
        await say(client, "chat", "draw", {"pad": "x" * 8000}, user="ana")
        assert (await heard(stream))["payload"] == {"pad": "x" * 8000}


async def test_http_1_0_hears_it_too(client):
    async with client.stream(CHAT, version="HTTP/1.0") as stream:
        await stream.connected()
        await say(client, "chat", "typing", {}, user="ana")
        assert (await heard(stream))["from"] == "ana"


async def test_a_payload_is_an_object_of_eight_kilobytes_at_most_and_nothing_else_is_taken(client):
    largest = {"a": "x" * (8192 - len('{"a":""}'))}
    assert (await say(client, "chat", "e", largest, user="ana")).status == 202
    assert_problem(await say(client, "chat", "e", {"a": largest["a"] + "x"}, user="ana"), 413)
    for body, pointer in (
        (b"[]", ""),
        (b"{}", "/event"),
        (b'{"event":""}', "/event"),
        (b'{"event":"a b","payload":{}}', "/event"),
        (b'{"event":"a","payload":[]}', "/payload"),
        (b'{"event":"a","payload":null}', "/payload"),
        (b'{"event":"a","payload":{},"from":"ben"}', "/from"),
    ):
        response = await post(client, [JSON], body)
        assert_problem(response, 422)
        assert response.json["errors"][0]["pointer"] == pointer
    assert_problem(await post(client, [JSON], b"{"), 400)
    assert_problem(await post(client, [("Content-Type", "text/plain")], b"{}"), 415)
    assert (await post(client, [JSON], b'{"event":"a"}')).status == 202


async def post(client, headers, body):
    return await client.request("POST", BROADCAST + "chat", {"clientId": "ana"}, headers=headers, body=body)


async def test_whoever_speaks_says_who_it_is_and_where(client):
    assert_problem(await say(client, "chat", "e", {}), 400)
    assert_problem(await say(client, "a%20b", "e", {}, user="ana"), 400)
    assert_problem(await client.get(BROADCAST + "chat"), 405)


async def test_who_says_too_much_has_to_wait(start_gateway, way):
    clock = ManualClock()
    settings = make_settings(limits={"broadcasts_per_second": 2})
    client = Client(start_gateway(settings, way=way, clock=clock).port)
    answers = [await say(client, "chat", "e", {}, user="ana") for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    clock.advance(1.0)
    assert (await say(client, "chat", "e", {}, user="ana")).status == 202


async def test_a_grant_is_needed_to_speak_and_to_hear(start_gateway, way):
    key, settings = static_key("bot", subscribe=["*"], broadcast=["chat"])
    port = start_gateway(make_settings(auth=auth_settings(keys=[settings])), way=way).port
    ana = Client(port, mint("ana", subscribe=["*"], broadcast=["chat"]))
    eve = Client(port, mint("eve", subscribe=["*"], presence=["*"]))
    async with ana.stream(CHAT) as stream:
        await stream.connected()
        assert (await say(ana, "chat", "e", {}, user="ben")).status == 202
        assert (await heard(stream))["from"] == "ana"
        assert (await say(Client(port, key), "chat", "e", {})).status == 202
        assert (await heard(stream))["from"] == "key:bot"
    for client, channel in ((ana, "other"), (eve, "chat")):
        assert_problem(await client.get(EVENTS, {"channel": channel}), 403)
        assert_problem(await say(client, channel, "e", {}), 403)


async def test_a_client_that_does_not_read_costs_nobody_else_anything(start_gateway, way):
    settings = make_settings(stream={"write_buffer_bytes": 4096}, limits={"broadcasts_per_second": 0})
    client = Client(start_gateway(settings, way=way).port)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", client.port))
        deaf.sendall(f"GET {target(EVENTS, CHAT)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await client.metric_becomes("tidegate_streams", 1)
        async with client.stream(CHAT) as reader, asyncio.timeout(60):
            await reader.connected()
            number = 0
            while not await client.metric("tidegate_broadcasts_dropped_total"):
                for _ in range(50):
                    await say(client, "chat", "e", {"n": number, "pad": "x" * 8000}, user="ana")
                    assert (await heard(reader))["payload"]["n"] == number
                    number += 1
