"""The life of a connection between the front door and aiohttp (gateway/http/front_door.py, server.py)."""

import asyncio
import socket
from contextlib import AsyncExitStack

import orjson
import pytest

from gateway.http.front_door import FRONT_DOOR
from tests.support.api import EVENTS, POLL, Client, event, eventually
from tests.support.gateway import make_settings
from tests.support.http import Connection, connect
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.loop import let_others_run

LIST = listed(order("A"))
GET_LIST = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
GET_STREAM = f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
GET_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVENT = orjson.dumps(event(1))
POST = (
    f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(EVENT)}\r\n\r\n".encode()
    + EVENT
)
LARGE = listed(order("A", text="x" * 40_000))
SMALL = 65_536
"""What a client's kernel keeps for it."""


@pytest.fixture
async def start(start_gateway, backend):
    """Starts a gateway whose list is the backend's, and has been polled."""

    async def start_one(body=LIST, **options):
        backend.says(body)
        gateway = start_gateway(
            make_settings(legacy=[route_settings(backend.url, 86_400.0, events="external")]), **options
        )
        assert (await Client(gateway.port).get(PATH)).body == body
        await aiohttp_has(gateway, 0)
        return gateway

    return start_one


async def aiohttp_has(gateway, count):
    """Waits until so many connections are aiohttp's: those that are the door's are not."""

    async def holds():
        return len(gateway.call(lambda: gateway.server.connections)) == count

    await eventually(holds, f"aiohttp has {count} connections")


async def turns(gateway):
    """Lets the gateway's loop read all that has come."""
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(let_others_run(), gateway.loop))


async def answers(connection, count):
    """The statuses of the next answers."""
    return [(await connection.response()).status for _ in range(count)]


async def hears_nothing(gateway, connection):
    """Checks that no answer comes that nobody asked for: what is asked next is answered next."""
    await turns(gateway)
    await connection.send(GET_HEALTH)
    assert (await connection.response()).json == {"status": "ok"}


@pytest.mark.parametrize("request_", [GET_LIST, GET_STREAM, POST, GET_HEALTH])
async def test_a_head_may_come_byte_by_byte(start, request_):
    gateway = await start()
    async with connect(gateway.port) as connection:
        for at in range(len(request_)):
            await connection.send(request_[at : at + 1])
            await turns(gateway)
        assert (await connection.head())[0] in (200, 201)


async def test_two_requests_in_one_segment_are_answered_in_their_order(start):
    gateway = await start()
    async with connect(gateway.port) as connection:
        await connection.send(GET_LIST + GET_HEALTH + GET_LIST)
        assert [(await connection.response()).body for _ in range(3)] == [LIST, b'{"status": "ok"}', LIST]
        await connection.send(GET_LIST)
        assert (await connection.response()).body == LIST


async def test_a_request_behind_one_that_waits_is_answered_behind_it(start):
    gateway = await start()
    client = Client(gateway.port)
    now = await client.now()
    async with connect(gateway.port) as connection:
        await connection.request("GET", f"{POLL}?cursor={now}&wait=60")
        await turns(gateway)
        await connection.send(GET_LIST)
        await turns(gateway)
        await client.publish(event(1))
        first, second = await connection.response(), await connection.response()
    assert len(first.json["events"]) == 1
    assert second.body == LIST


@pytest.mark.parametrize("said", [GET_LIST, GET_HEALTH, POST, GET_LIST + GET_LIST])
async def test_who_closes_its_side_behind_a_request_is_answered_and_the_connection_ends(start, said):
    gateway = await start()
    async with connect(gateway.port) as connection:
        await connection.send(said)
        connection.half_close()
        assert set(await answers(connection, 2 if said == GET_LIST + GET_LIST else 1)) <= {200, 201}
        assert await connection.ended() == b""


@pytest.mark.parametrize("said", [b"", GET_LIST[:1], GET_LIST[:-2]])
async def test_who_closes_its_side_before_a_request_is_whole_hears_nothing(start, said):
    gateway = await start()
    async with connect(gateway.port) as connection:
        await connection.send(said)
        await turns(gateway)
        connection.half_close()
        assert await connection.ended() == b""


async def test_a_poller_that_closes_its_side_later_has_its_connection_ended(start):
    gateway = await start()
    async with connect(gateway.port) as connection:
        await connection.send(GET_LIST)
        await connection.response()
        connection.half_close()
        assert await connection.ended() == b""


async def test_a_connection_goes_to_aiohttp_for_what_is_its_and_comes_back(start):
    gateway = await start()
    async with connect(gateway.port) as connection:
        for _ in range(3):
            for _ in range(5):
                await connection.send(GET_LIST)
                assert (await connection.response()).body == LIST
            await aiohttp_has(gateway, 0)
            await connection.send(POST)
            assert (await connection.response()).status == 201
            await aiohttp_has(gateway, 1)
        await connection.send(GET_STREAM)
        assert (await connection.head())[0] == 200
        await aiohttp_has(gateway, 0)


async def test_a_connection_comes_back_also_where_a_request_came_before_the_last_was_answered(start):
    gateway = await start()
    client = Client(gateway.port)
    async with connect(gateway.port) as connection:
        await connection.send(f"GET {POLL}?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await aiohttp_has(gateway, 1)
        await connection.send(GET_LIST)
        await turns(gateway)
        await client.publish(event(1))
        assert await answers(connection, 2) == [200, 200]

        await connection.send(GET_LIST)

        assert (await connection.response()).body == LIST
        await aiohttp_has(gateway, 0)


def posted(body, *fields):
    lines = [f"POST {EVENTS} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


UNFINISHED = b"GET /healthz HTTP/1.1\r\nX-Unfinished: "
BEFORE_IT = {
    "a post": POST,
    "two posts": POST + POST,
    "a post behind empty lines": b"\r\n\r\n" + POST,
    "a post and empty lines": POST + b"\r\n\r\n",
    "a read": GET_LIST,
    "reads": GET_LIST * 3,
    "chunks": posted(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT), "Transfer-Encoding: chunked"),
    "a refusal": posted(b"[]", "Content-Length: 2"),
    "a body of a head": posted(GET_LIST, f"Content-Length: {len(GET_LIST)}"),
}


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize("name", BEFORE_IT)
async def test_what_ends_an_unfinished_head_is_never_a_request_of_its_own(start, name, pauses):
    gateway = await start()
    before = BEFORE_IT[name]
    count = before.count(b"HTTP/1.1\r\n") - (name == "a body of a head")
    async with connect(gateway.port) as connection:
        if pauses:
            await connection.send(before)
            await answers(connection, count)
            await connection.send(UNFINISHED)
        else:
            await connection.send(before + UNFINISHED)
            await answers(connection, count)
        await turns(gateway)
        await connection.send(GET_LIST)
        # The head's last field is the list's request line.
        assert (await connection.response()).json == {"status": "ok"}
        await hears_nothing(gateway, connection)


async def test_what_ends_an_unfinished_body_is_never_a_request_of_its_own(start):
    gateway = await start()
    body = orjson.dumps({"text": "x"}) + GET_LIST
    async with connect(gateway.port) as connection:
        await connection.send(posted(body[: -len(GET_LIST)], f"Content-Length: {len(body)}"))
        await turns(gateway)
        await connection.send(GET_LIST)
        assert (await connection.response()).status == 400
        await hears_nothing(gateway, connection)


async def test_a_client_that_reads_no_answers_is_asked_for_no_more_requests_until_it_does(start):
    gateway = await start(LARGE)
    door = gateway.app[FRONT_DOOR]

    def waiting_bytes():
        return [each.transport.get_write_buffer_size() for each in (*door.idle, *gateway.server.connections)]

    async with connect(gateway.port, receive_buffer=SMALL) as connection:
        sent = 0
        while not any(gateway.call(waiting_bytes)):
            await connection.send(GET_LIST)
            await turns(gateway)
            sent += 1
        for _ in range(100):
            await connection.send(GET_LIST)
            await turns(gateway)
        assert max(gateway.call(waiting_bytes)) < 3 * len(LARGE)
        assert {(await connection.response()).body for _ in range(sent + 100)} == {LARGE}
        await hears_nothing(gateway, connection)


@pytest.mark.parametrize("said", [b"", GET_LIST, GET_LIST[:-2], POST])
async def test_a_connection_that_says_no_more_is_ended(start, said):
    gateway = await start(keepalive_seconds=0.2)
    async with connect(gateway.port) as connection:
        await connection.send(said)
        assert len(await connection.ended()) > 0 or said in (b"", GET_LIST[:-2])


async def test_a_connection_that_goes_on_asking_is_not_ended(start):
    gateway = await start(keepalive_seconds=5.0)
    async with connect(gateway.port) as connection:
        for _ in range(20):
            await connection.send(GET_LIST)
            assert (await connection.response()).body == LIST


async def test_the_end_leaves_no_connection_open(start, start_gateway):
    gateway = await start(LARGE)
    client = Client(gateway.port)
    now = await client.now()
    async with AsyncExitStack() as stack:

        async def opened(said=b"", answered=0):
            connection = await stack.enter_async_context(connect(gateway.port, receive_buffer=SMALL))
            await connection.send(said)
            await answers(connection, answered)
            return connection

        connections = [
            await opened(),
            await opened(GET_LIST, 1),
            await opened(GET_LIST[:-2]),
            await opened(POST, 1),
            await opened(POST[:-2]),
            await opened(f"GET {POLL}?cursor={now}&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()),
            await opened(GET_STREAM),
        ]
        deaf = await opened()
        for _ in range(100):
            await deaf.send(GET_LIST)
            await turns(gateway)
        await client.metric_becomes("tidegate_streams", 1)
        await asyncio.to_thread(gateway.stop)
        for connection in [*connections, deaf]:
            await connection.ended()


async def test_clients_that_vanish_before_their_turn_are_not_waited_for(start):
    gateway = await start()
    for said in (GET_LIST, GET_STREAM, POST, GET_LIST + GET_LIST) * 10:
        connection = await Connection.open(gateway.port)
        await connection.send(said)
        connection.reset()
    client = Client(gateway.port)
    assert (await client.get(PATH)).body == LIST
    await client.metric_becomes("tidegate_streams", 0)


async def test_a_crowd_that_comes_at_once_does_not_hold_up_those_who_are_there(start):
    gateway = await start()
    client = Client(gateway.port)
    async with client.stream() as stream:
        await stream.connected()
        crowd = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(300)]
        for each in crowd:
            each.sendall(GET_STREAM)
        await client.publish(event(1))
        assert (await stream.next()).data["data"] == {"n": 1}
        await client.metric_becomes("tidegate_streams", 301)
        for each in crowd:
            each.close()
    await client.metric_becomes("tidegate_streams", 0)
