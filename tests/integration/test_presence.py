"""Presence from outside (docs/protocol.md, section 10): who is in a channel, and who is told of it."""

import socket
import struct
from contextlib import AsyncExitStack
from functools import partial

import orjson
import pytest

from gateway.delivery.presence import presence
from tests.support.api import EVENTS, GZIP, JSON, Client, assert_problem, event, eventually, target
from tests.support.channels import PRESENCE, Room, put_meta, users
from tests.support.clock import ManualClock
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.legacy import listed, order, route_settings
from tests.support.migration import ORDERS, a_migration
from tests.support.tokens import auth_settings, mint
from tests.support.upstream import upstream

pytestmark = EVERY_WAY


@pytest.fixture
def client(gateway):
    return Client(gateway.port)


def there(user, **more):
    return {"presence": "portal", "clientId": user} | more


async def test_a_stream_is_first_told_of_all_who_are_there_itself_too_and_then_who_comes_and_goes(client):
    async with client.stream(there("ana")) as ana:
        await ana.connected()
        room = Room(ana, "portal")
        assert await room.next() == ("sync", {"ana": {}})
        async with client.stream(there("ben")) as ben:
            await ben.connected()
            assert await Room(ben, "portal").next() == ("sync", {"ana": {}, "ben": {}})
            assert await room.next() == ("join", {"ben": {}})
        assert await room.next() == ("leave", {"ben": {}})


async def test_a_user_is_there_once_and_leaves_with_its_last_connection(client):
    async with client.stream(there("ana")) as ana, AsyncExitStack() as streams:
        room = Room(ana, "portal")
        await room.next()
        async with client.stream(there("ben")):
            await room.becomes({"ana": {}, "ben": {}})
            await streams.enter_async_context(client.stream(there("ben")))
            await eventually_there(client, {"ana": 1, "ben": 2})
        await eventually_there(client, {"ana": 1, "ben": 1})
        await streams.aclose()
        await room.becomes({"ana": {}})
    assert room.kinds == ["sync", "join", "leave"]


async def eventually_there(client, connections):
    async def holds():
        found = await users(client, "portal")
        return {user: told["connections"] for user, told in found.items()} == connections

    await eventually(holds, f"{connections} are there")


async def test_what_a_user_says_of_itself_is_seen_by_others_and_listed(client):
    async with client.stream(there("ana")) as ana:
        room = Room(ana, "portal")
        await room.becomes({"ana": {}})
        answer = await put_meta(client, "portal", {"name": "Ana", "at": [1, None]}, user="ana")
        assert (answer.status, answer.body) == (204, b"")
        assert await room.next() == ("update", {"ana": {"name": "Ana", "at": [1, None]}})
        listed = await client.get(PRESENCE + "portal")
        assert listed.json == {"users": {"ana": {"meta": {"name": "Ana", "at": [1, None]}, "connections": 1}}}
        assert listed.headers["Cache-Control"] == "private, no-store"


async def test_what_a_user_says_before_it_comes_is_there_with_it(client):
    assert (await put_meta(client, "portal", {"name": "Ana"}, user="ana")).status == 204
    assert await users(client, "portal") == {}
    async with client.stream(there("ana")) as ana:
        assert await Room(ana, "portal").next() == ("sync", {"ana": {"name": "Ana"}})


async def test_who_comes_back_soon_is_known_as_before(client):
    async with client.stream(there("ana")) as ana:
        room = Room(ana, "portal")
        await room.becomes({"ana": {}})
        async with client.stream(there("ben")):
            await put_meta(client, "portal", {"name": "Ben"}, user="ben")
            await room.becomes({"ana": {}, "ben": {"name": "Ben"}})
        async with client.stream(there("ben")) as ben:
            assert (await Room(ben, "portal").next())[1]["ben"] == {"name": "Ben"}
            await room.becomes({"ana": {}, "ben": {"name": "Ben"}})


async def test_a_client_without_a_name_is_there_under_the_id_that_connected_has(client):
    async with client.stream({"presence": "portal"}) as stream:
        connected = await stream.connected()
        assert await Room(stream, "portal").next() == ("sync", {connected.data["clientId"]: {}})


async def test_the_header_names_a_client_as_the_parameter_does(client):
    name = ("Tidegate-Client-Id", "ana")
    async with client.stream({"presence": "portal"}, headers=[name]) as stream:
        assert await Room(stream, "portal").next() == ("sync", {"ana": {}})
        assert (await put_meta(client, "portal", {"n": 1}, headers=[name])).status == 204
        assert (await users(client, "portal"))["ana"]["meta"] == {"n": 1}


async def test_channels_may_be_repeated_or_joined_and_each_is_told_of_by_itself(client):
    query = [("presence", "a,b"), ("presence", "c"), ("presence", "a"), ("clientId", "ana")]
    async with client.stream(query) as stream:
        frames = [await stream.until("presence") for _ in range(3)]
        assert [frame.data for frame in frames] == [
            {"channel": name, "type": "sync", "users": {"ana": {"meta": {}}}} for name in "abc"
        ]


@pytest.mark.parametrize(
    "query",
    [
        {"presence": "a b"},
        {"presence": "ä"},
        {"channel": "a" * 65},
        {"presence": ",".join(map(str, range(21)))},
        {"presence": ",".join(map(str, range(10))), "channel": ",".join(map(str, range(11)))},
    ],
)
async def test_what_is_no_channel_and_one_channel_too_many_are_refused(client, query):
    response = await client.get("/api/v1/sync/events", query)
    assert_problem(response, 400)
    assert response.json["errors"][0]["parameter"] in query


async def test_events_come_as_ever_and_presence_moves_no_cursor(client):
    async with client.stream(there("ana", entity="order")) as stream:
        connected = await stream.connected()
        await Room(stream, "portal").next()
        assert stream.last_event_id == connected.id
        [cursor] = await client.publish(event(1))
        frame = await stream.until("stage_change")
        assert frame.id == cursor
    async with client.stream(there("ana", lastEventId=connected.id)) as stream:
        await stream.connected()
        assert (await stream.next()).event == "stage_change"
        assert (await stream.next()).event == "presence"
    assert [given["eventType"] for given in (await client.get("/api/v1/sync/history")).json["events"]] == [
        "stage_change"
    ]


async def test_a_compressed_stream_is_told_the_same(start_gateway, way):
    settings = make_settings(stream={"compression": "gzip"})
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream(there("ana"), headers=[GZIP]) as packed, client.stream(there("ben")) as plain:
        assert packed.headers["Content-Encoding"] == "gzip"
        for stream in (packed, plain):
            await Room(stream, "portal").becomes({"ana": {}, "ben": {}})
        await put_meta(client, "portal", {"pad": "x" * 900}, user="ben")
        for stream in (packed, plain):
            frame = await stream.until("presence")
            assert frame.data["users"] == {"ben": {"meta": {"pad": "x" * 900}}}


async def test_meta_is_an_object_of_a_kilobyte_at_most_and_nothing_else_is_taken(client):
    largest = {"a": "x" * (1024 - len('{"a":""}'))}
    assert (await put_meta(client, "portal", largest, user="ana")).status == 204
    assert_problem(await put_meta(client, "portal", {"a": largest["a"] + "x"}, user="ana"), 413)
    for body in (b"[]", b"{}", b'{"meta":1}', b'{"meta":{},"more":1}', b'{"meta":null}'):
        response = await client.request(
            "PUT", PRESENCE + "portal", {"clientId": "ana"}, headers=[JSON], body=body
        )
        assert_problem(response, 422)
    for headers, body, status in (
        ([JSON], b"{", 400),
        ([("Content-Type", "text/plain")], b"{}", 415),
        ([JSON], b" " * 9000, 413),
    ):
        query = {"clientId": "ana"}
        response = await client.request("PUT", PRESENCE + "portal", query, headers=headers, body=body)
        assert_problem(response, status)
    async with client.stream(there("ana")) as stream:
        assert await Room(stream, "portal").next() == ("sync", {"ana": largest})


async def test_a_writer_says_who_it_is_and_where(client):
    assert_problem(await put_meta(client, "portal", {}), 400)
    assert_problem(await put_meta(client, "a%20b", {}, user="ana"), 400)
    assert_problem(await client.get(PRESENCE + "a%20b"), 400)


async def test_other_methods_are_refused(client):
    for method in ("POST", "DELETE", "PATCH"):
        response = await client.request(method, PRESENCE + "portal", headers=[JSON], body=b"{}")
        assert_problem(response, 405)
        assert response.headers["Allow"] == "GET,HEAD,PUT"


async def test_who_says_too_much_has_to_wait(start_gateway, way):
    settings = make_settings(limits={"presence_per_second": 2})
    clock = ManualClock()
    client = Client(start_gateway(settings, way=way, clock=clock).port)
    answers = [await put_meta(client, "portal", {"n": n}, user="ana") for n in range(3)]
    assert [answer.status for answer in answers] == [204, 204, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert await client.metric("tidegate_limit_refusals_total", limit="presence_per_second") == 1
    clock.advance(1.0)
    assert (await put_meta(client, "portal", {}, user="ana")).status == 204


async def test_a_channel_that_is_full_takes_nobody_more_and_no_longer_meta(client, monkeypatch):
    monkeypatch.setattr(presence, "MAX_CHANNEL_BYTES", 20)
    async with client.stream(there("ana")) as ana, client.stream(there("ben")) as ben:
        room = Room(ana, "portal")
        await room.becomes({"ana": {}, "ben": {}})
        async with client.stream(there("cyd")) as cyd:
            [bye] = await cyd.rest()
            assert (bye.event, bye.data["reason"], bye.data["reconnect"]) == ("bye", "limit", True)
        answer = await put_meta(client, "portal", {"n": 1}, user="ana")
        assert_problem(answer, 503)
        assert answer.headers["Retry-After"] == "5"
        assert await client.metric("tidegate_problems_total", problem="overloaded") == 2
        async with client.stream(there("ana")) as again, client.stream({"channel": "portal"}) as hears:
            await Room(again, "portal").becomes({"ana": {}, "ben": {}})
            assert (await hears.next()).event == "connected"
        assert (await ben.next()).event == "connected"


async def test_operators_see_for_which_channels_a_stream_is(client):
    async with client.stream(there("ana", channel="chat", entity="order")) as stream:
        await stream.connected()
        [shown] = (await client.get("/api/v1/admin/connections")).json["connections"]
        assert shown["selection"] == "entity=order&presence=portal&channel=chat"


async def test_a_stream_is_there_under_its_subject_and_only_where_it_is_granted(start_gateway, way):
    settings = make_settings(auth=auth_settings())
    port = start_gateway(settings, way=way).port
    ana = Client(port, mint("ana", subscribe=["*"], presence=["portal"]))
    ben = Client(port, mint("ben", subscribe=["*"], presence=["*"]))
    neither = Client(port, mint("eve", subscribe=["*"], broadcast=["*"]))
    nameless = Client(port, mint(None, subscribe=["*"], presence=["*"]))
    async with ana.stream({"presence": "portal", "clientId": "ben"}) as stream:
        assert await Room(stream, "portal").next() == ("sync", {"ana": {}})
        assert (await put_meta(ana, "portal", {"n": 1}, user="ben")).status == 204
        assert await users(ben, "portal") == {"ana": {"meta": {"n": 1}, "connections": 1}}
    for client, channel in ((ana, "other"), (neither, "portal"), (nameless, "portal")):
        assert_problem(await client.get("/api/v1/sync/events", {"presence": channel}), 403)
        assert_problem(await put_meta(client, channel, {}), 403)
    for client, channel in ((ana, "other"), (neither, "portal")):
        assert_problem(await client.get(PRESENCE + channel), 403)
    assert_problem(await Client(port).get(PRESENCE + "portal"), 401)


async def test_whoever_needs_no_token_can_not_take_the_name_of_one_who_has_one(start_gateway, way):
    anonymous = {"subscribe": ["*"], "presence": ["portal"]}
    settings = make_settings(auth=auth_settings(anonymous=anonymous))
    port = start_gateway(settings, way=way).port
    ana = Client(port, mint("ana", subscribe=["*"], presence=["portal"]))
    async with ana.stream({"presence": "portal"}) as stream:
        room = Room(stream, "portal")
        await room.becomes({"ana": {}})
        assert (await put_meta(Client(port), "portal", {"name": "Eve"}, user="ana")).status == 204
        async with Client(port).stream(there("ana")):
            assert await room.next() == ("join", {"anonymous:ana": {"name": "Eve"}})


async def test_who_is_sent_away_has_left(client):
    async with client.stream(there("ana")) as ana:
        room = Room(ana, "portal")
        async with client.stream(there("ben")) as ben:
            connected = await ben.connected()
            await room.becomes({"ana": {}, "ben": {}})
            gone = await client.request("DELETE", f"/api/v1/admin/connections/{connected.data['clientId']}")
            assert gone.status == 200
            assert (await ben.until("bye")).data["reason"] == "disconnected"
            await room.becomes({"ana": {}})


async def test_who_is_revoked_has_left(start_gateway, way, tmp_path):
    settings = make_settings(auth=auth_settings(), flags={"store": f"file:{tmp_path}/flags.json"})
    port = start_gateway(settings, way=way).port
    grants = {"subscribe": ["*"], "presence": ["portal"]}
    ana, ben = (Client(port, mint(name, **grants)) for name in ("ana", "ben"))
    async with ana.stream({"presence": "portal"}) as stream, ben.stream({"presence": "portal"}) as ended:
        room = Room(stream, "portal")
        await room.becomes({"ana": {}, "ben": {}})
        body = orjson.dumps({"subject": "ben", "reason": "left"})
        admin = Client(port, mint("root", admin=True))
        path = "/api/v1/admin/revocations"
        assert (await admin.request("POST", path, headers=[JSON], body=body)).status == 201
        assert (await ended.until("bye")).data["reason"] == "revoked"
        await room.becomes({"ana": {}})


async def test_the_state_comes_before_those_who_are_there(start_gateway, way):
    async with upstream() as backend:
        backend.says(listed(order("A", n=1)))
        settings = make_settings(legacy=[route_settings(backend.url, 3600.0)])
        client = Client(start_gateway(settings, way=way).port)
        async with client.stream(there("ana", entity="order", state="with")) as stream:
            frames = [await stream.next() for _ in range(3)]
    assert [frame.event for frame in frames] == ["connected", "state", "presence"]
    assert frames[1].data["last"]


async def test_a_caller_that_is_to_poll_is_in_no_channel(start_gateway, way, tmp_path):
    async with a_migration(partial(start_gateway, way=way), tmp_path) as migration:
        await migration.change(stage="shadow")
        query = [*ORDERS, ("presence", "portal"), ("clientId", "ana")]
        assert (await migration.client.get(EVENTS, query)).status == 204
        assert await users(migration.client, "portal") == {}
        await migration.change(stage="live", percentage=100)
        async with migration.client.stream(query) as stream:
            await Room(stream, "portal").becomes({"ana": {}})
            await migration.change(stage="shadow")
            assert (await stream.until("bye")).data["reason"] == "disconnected"
        await eventually_there(migration.client, {})


async def test_pages_of_other_sites_can_say_nothing(client):
    foreign = ("Origin", "https://evil.example")
    assert_problem(await put_meta(client, "portal", {}, user="ana", headers=[foreign]), 403)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no TCP_USER_TIMEOUT")
async def test_the_kernel_gives_up_a_peer_that_acknowledges_nothing_within_two_heartbeats(start_gateway, way):
    gateway = start_gateway(make_settings(stream={"heartbeat_seconds": 16.0}), way=way)
    client = Client(gateway.port)
    async with client.stream(there("ana")) as ana, client.stream({"channel": "chat"}) as other:
        await ana.connected()
        await other.connected()
        timeouts = gateway.stream_options(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert timeouts == [12_000, 60_000]


async def test_a_client_whose_process_vanishes_has_left(start_gateway, way):
    client = Client(start_gateway(way=way).port)
    async with client.stream(there("ana")) as ana:
        room = Room(ana, "portal")
        with socket.create_connection(("127.0.0.1", client.port)) as vanishing:
            line = target(EVENTS, there("ben"))
            vanishing.sendall(f"GET {line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await room.becomes({"ana": {}, "ben": {}})
            # Closed so, the kernel sends a RST.
            vanishing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await room.becomes({"ana": {}})
