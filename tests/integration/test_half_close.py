"""Callers that close their sending side after a whole request, and listen."""

import asyncio

import orjson
import pytest

from tests.support.api import EVENTS, HISTORY, JSON, POLL, Client, event, numbers
from tests.support.gateway import LOOPS, WAYS, make_settings
from tests.support.http import connect
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import upstream

BOTH_LOOPS = pytest.mark.parametrize("loop", sorted(LOOPS))
GET = b"GET /api/v1/sync/history?limit=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"


@BOTH_LOOPS
async def test_publishers_that_close_their_side_get_their_answers(start_gateway, loop):
    port = start_gateway(loop=loop).port

    async def publish(number: int) -> int:
        async with connect(port) as connection:
            await connection.request("POST", EVENTS, headers=[JSON], body=orjson.dumps(event(number)))
            connection.half_close()
            response = await connection.response()
            assert await connection.ended() == b""
            return response.status

    assert await asyncio.gather(*map(publish, range(20))) == [201] * 20
    assert sorted(numbers((await Client(port).get(HISTORY, {"limit": 100})).json["events"])) == [*range(20)]


@BOTH_LOOPS
@pytest.mark.parametrize("body", [b'{"eventType":"a","data":{"n":"%b"}}' % (b"x" * 60_000), b"no JSON"])
async def test_a_body_in_parts_is_whole_before_the_end(start_gateway, loop, body):
    async with connect(start_gateway(loop=loop).port) as connection:
        await connection.request("POST", EVENTS, headers=[JSON, ("Transfer-Encoding", "chunked")])
        await connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        connection.half_close()

        assert (await connection.response()).status == (400 if body == b"no JSON" else 201)


@BOTH_LOOPS
@pytest.mark.parametrize("path", [POLL, POLL + "?wait=0.3", "/healthz", "/nowhere"])
async def test_a_read_is_answered_and_then_the_connection_ends(start_gateway, loop, path):
    async with connect(start_gateway(loop=loop).port) as connection:
        await connection.request("GET", path)
        connection.half_close()

        assert (await connection.response()).status == (404 if path == "/nowhere" else 200)
        assert await connection.ended() == b""


@BOTH_LOOPS
async def test_every_request_that_was_sent_before_is_answered(start_gateway, loop):
    async with connect(start_gateway(loop=loop).port) as connection:
        await connection.send(b"".join(GET % limit for limit in range(1, 9)))
        connection.half_close()

        assert [(await connection.response()).status for _ in range(8)] == [200] * 8
        assert await connection.ended() == b""


@BOTH_LOOPS
@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("GET", PATH + "/A"), ("PUT", PATH + "/A")])
async def test_an_upstream_s_answer_arrives_whole(start_gateway, loop, method, path):
    answer = listed(*(order(str(number), padding="x" * 1000) for number in range(3000)))
    route = {"component": "orders", "path": PATH, "entity": "order", "items": "/docs", "key": "orderID"}
    async with upstream() as backend:
        backend.says(answer)
        settings = make_settings(
            legacy=[{**route, "upstream": backend.url, "interval_seconds": 60.0, "shared": True}]
        )
        port = start_gateway(settings, loop=loop).port
        async with connect(port, receive_buffer=4096) as connection:
            await connection.request(method, path, body=b"{}" if method == "PUT" else None)
            connection.half_close()

            assert (await connection.response()).body == answer
            assert await connection.ended() == b""


@BOTH_LOOPS
@pytest.mark.parametrize("framing", ["Content-Length: 9\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n9\r\n"])
@pytest.mark.parametrize("before", [b"", GET % 1], ids=["alone", "behind another"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", EVENTS), ("PUT", PATH + "/A"), ("PUT", "/api/v1/sync/preference?clientId=a")],
)
async def test_a_body_that_is_cut_off_is_a_400(start_gateway, loop, method, path, before, framing):
    route = {"component": "orders", "path": PATH, "entity": "order", "items": "/docs", "key": "orderID"}
    async with upstream() as backend:
        settings = make_settings(legacy=[{**route, "upstream": backend.url, "interval_seconds": 60.0}])
        async with connect(start_gateway(settings, loop=loop).port) as connection:
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            await connection.send(before + f"{head}{framing}{{}}".encode())
            connection.half_close()

            if before:
                assert (await connection.response()).status == 200
            assert (await connection.response()).status == 400
            assert await connection.ended() == b""


@BOTH_LOOPS
@pytest.mark.parametrize("sent", [b"", GET % 1], ids=["nothing", "a request"])
async def test_an_idle_connection_ends_at_once(start_gateway, loop, sent):
    async with connect(start_gateway(loop=loop).port) as connection:
        await connection.send(sent)
        if sent:
            await connection.response()
        connection.half_close()

        assert await connection.ended() == b""


@BOTH_LOOPS
@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_that_was_half_closed_while_it_opened_ends(start_gateway, loop, way):
    gateway = start_gateway(loop=loop, way=way)
    async with connect(gateway.port) as connection:
        await connection.request("GET", EVENTS)
        connection.half_close()

        await connection.ended()
    await Client(gateway.port).metric_becomes("tidegate_streams", 0)


@BOTH_LOOPS
async def test_one_that_is_not_answered_in_time_is_left(start_gateway, loop):
    gateway = start_gateway(loop=loop, half_closed_seconds=0.05)
    async with connect(gateway.port) as connection:
        await connection.request("GET", POLL + "?wait=60")
        connection.half_close()

        assert await connection.ended() == b""
