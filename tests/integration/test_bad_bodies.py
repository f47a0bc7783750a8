"""Bodies that can't be published: broken, too large, too slow, cut off. Nothing of them is published."""

import gzip
import logging
import zlib

import orjson
import pytest

from tests.support.api import EVENTS, JSON, Client, assert_problem, event, numbers, undisturbed
from tests.support.gateway import make_settings
from tests.support.http import connect

MALFORMED = {
    "nothing": b"",
    "white space": b" \n",
    "half an object": b'{"eventType": "a"',
    "a tail": b'{"eventType": "a"} {}',
    "single quotes": b"{'eventType': 'a'}",
    "NaN": b'{"eventType": "a", "data": {"n": NaN}}',
    "an infinite number": b'{"eventType": "a", "data": {"n": 1e999}}',
    "bytes that are no UTF-8": b'{"eventType": "a", "data": {"n": "\xff"}}',
    "a lone surrogate": b'{"eventType": "a", "data": {"n": "\\ud800"}}',
    "a surrogate in UTF-8": b'{"eventType": "a", "data": {"n": "\xed\xa0\x80"}}',
    "UTF-16": '{"eventType": "a"}'.encode("utf-16"),
    "a raw control character": b'{"eventType": "a", "data": {"n": "\x01"}}',
    "a hundred thousand brackets": b"[" * 100_000,
    "brackets deep in an event": b'{"eventType":"a","data":{"n":' + b"[" * 2000 + b"]" * 2000 + b"}}",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_json_is_400(client, name):
    async with undisturbed(client):
        response = await client.post(body=MALFORMED[name])

    assert_problem(response, 400)
    assert b"Traceback" not in response.body
    assert await client.metric("tidegate_problems_total", problem="malformed-body") == 1


@pytest.mark.parametrize("depth", [254, 300, 1000])
async def test_an_event_that_is_nested_too_deeply_to_be_written_is_422(client, depth):
    body = b'{"eventType":"a","data":{"n":' + b"[" * depth + b"]" * depth + b"}}"
    async with undisturbed(client):
        response = await client.post(body=body)

    assert response.status == 422


async def test_an_event_that_is_nested_deeply_goes_through_everywhere(client):
    deep = {"n": 1, "deep": {}}
    for _ in range(200):
        deep["deep"] = {"deeper": deep["deep"]}
    async with client.stream() as stream:
        await stream.connected()
        await client.publish(event(data=deep))
        [streamed] = await stream.take(1)

    assert streamed["data"] == deep
    assert (await client.poll(cursor="earliest"))["events"] == [streamed]


async def test_a_body_that_does_not_unpack_is_400(client):
    async with undisturbed(client):
        response = await client.post(body=b"hello", headers=[("Content-Encoding", "gzip")])

    assert_problem(response, 400)


async def test_a_body_that_unpacks_to_half_of_itself_is_400(client):
    whole = gzip.compress(orjson.dumps([event(n, of=f"ORDER-{n}") for n in range(500)]))
    async with undisturbed(client):
        response = await client.post(body=whole[: len(whole) // 2], headers=[("Content-Encoding", "gzip")])

    assert response.status == 400


PACKED = gzip.compress(orjson.dumps([event(3)]), mtime=0)
MEMBERS = [gzip.compress(part, mtime=0) for part in (b"[", orjson.dumps(event(3)), b"]")]


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", PACKED),
        ("X-GZIP", PACKED),
        ("gzip", b"".join(MEMBERS)),
        ("deflate", zlib.compress(orjson.dumps([event(3)]))),
        ("identity", orjson.dumps([event(3)])),
    ],
    ids=["gzip", "x-gzip", "members", "deflate", "identity"],
)
async def test_a_packed_body_is_published_unpacked(client, coding, body):
    assert (await client.post(body=body, headers=[("Content-Encoding", coding)])).status == 201
    assert numbers((await client.poll(cursor="earliest"))["events"]) == [3]


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "\udcff"])
@pytest.mark.parametrize("path", [EVENTS, "/api/v1/sync/telemetry"])
async def test_a_coding_that_is_not_known_is_415_and_says_which_are(client, coding, path):
    async with undisturbed(client):
        headers = [JSON, ("Content-Encoding", coding)]
        response = await client.request("POST", path, headers=headers, body=orjson.dumps(event(9)))

    assert_problem(response, 415)
    assert response.headers["Accept-Encoding"] == "gzip, deflate"


async def test_a_bomb_is_413(client):
    async with undisturbed(client):
        response = await client.post(body=gzip.compress(b" " * 2**24), headers=[("Content-Encoding", "gzip")])

    assert_problem(response, 413)


@pytest.mark.parametrize(
    "body", [PACKED + b"tail", PACKED[:-3], b"", PACKED[:1]], ids=["a tail", "cut off", "nothing", "a byte"]
)
async def test_gzip_with_a_tail_or_without_its_end_is_400(client, body):
    async with undisturbed(client):
        response = await client.post(body=body, headers=[("Content-Encoding", "gzip")])

    assert_problem(response, 400)


@pytest.fixture
def hurried(start_gateway):
    """A client of a gateway that waits a tenth of a second for a body; by default it is ten seconds."""
    settings = make_settings(publish={"max_request_bytes": 1000})
    return Client(start_gateway(settings, body_seconds=0.1).port)


@pytest.mark.parametrize("length", [("Content-Length", "100"), ("Transfer-Encoding", "chunked")])
async def test_a_body_that_comes_too_slowly_is_408(hurried, caplog, length):
    caplog.set_level(logging.INFO)
    async with undisturbed(hurried), connect(hurried.port) as connection:
        await connection.request("POST", EVENTS, headers=[JSON, length])
        await connection.send(b'5\r\n{"eve\r\n')
        response = await connection.response()

    assert_problem(response, 408)
    assert response.headers["Connection"] == "close"
    assert await hurried.metric("tidegate_problems_total", problem="body-timeout") == 1
    assert "request_refused" in caplog.messages


async def test_a_chunk_that_breaks_within_the_body_publishes_nothing(hurried):
    async with undisturbed(hurried), connect(hurried.port) as connection:
        await connection.request("POST", EVENTS, headers=[JSON, ("Transfer-Encoding", "chunked")])
        await connection.send(b"1\r\n[\r\nzz\r\n")
        response = await connection.response()

    assert response.status in (400, 408)


@pytest.mark.parametrize("declared", [True, False])
async def test_a_connection_whose_body_was_too_large_is_closed_as_the_answer_says(start_gateway, declared):
    client = Client(start_gateway(make_settings(publish={"max_request_bytes": 1000})).port)
    body = b"[" + b" " * 2000 + b"]"
    async with undisturbed(client), connect(client.port) as connection:
        if declared:
            await connection.request("POST", EVENTS, headers=[JSON], body=body)
        else:
            chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            await connection.request(
                "POST", EVENTS, headers=[JSON, ("Transfer-Encoding", "chunked")], body=chunked
            )
        response = await connection.response()
        await connection.ended()

    assert (response.status, response.headers["Connection"]) == (413, "close")


@pytest.mark.parametrize("how", ["with FIN", "with RST"])
async def test_a_body_that_is_cut_off_publishes_nothing_and_is_counted(client, caplog, how):
    caplog.set_level(logging.INFO)
    body = b'[{"eventType": "cut", "data": {}}'
    async with undisturbed(client), connect(client.port) as connection:
        # Who is gone before the gateway has looked at its request has made none.
        fields = [JSON, ("Content-Length", "1000"), ("Expect", "100-continue")]
        await connection.request("POST", EVENTS, headers=fields)
        assert (await connection.head())[0] == 100
        await connection.send(body)
        if how == "with RST":
            connection.reset()
        else:
            connection.half_close()
            assert (await connection.response()).status == 400
            assert await connection.ended() == b""
    # Which problem it is called is the gateway's business; that it is called one is not.
    await client.metric_becomes("tidegate_problems_total", 1)

    assert any(record.name.startswith("gateway") for record in caplog.records)
