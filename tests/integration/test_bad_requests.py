"""What no client should send: it gets a problem, a log line and a counter, and harms nobody else."""

import gzip
import logging

import pytest

from tests.support.api import (
    EVENTS,
    HISTORY,
    JSON,
    POLL,
    assert_problem,
    event,
    eventually,
    numbers,
    undisturbed,
)
from tests.support.http import connect

HOST = b"Host: localhost\r\n"

NOT_HTTP = {
    "words": b"hello, is this a mail server?\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a wrong version": b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "an unknown method": b"STREAM /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw bytes in the target": b"GET /api/v1/sync/events?component=\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "a control character in a header": b"GET /api/v1/sync/poll HTTP/1.1\r\n"
    + HOST
    + b"Last-Event-ID: a\x01b\r\n\r\n",
    "NUL in a header": b"GET /api/v1/sync/poll HTTP/1.1\r\n" + HOST + b"Last-Event-ID: a\x00b\r\n\r\n",
    "two lengths": b"POST /api/v1/sync/events HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    "a length and chunks": b"POST /api/v1/sync/events HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /api/v1/sync/events HTTP/1.1\r\n" + HOST + b"Content-Length: -5\r\n\r\n",
    "a broken chunk": b"POST /api/v1/sync/events HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n",
}


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_what_is_not_http_is_answered_with_a_problem_and_the_end(client, name):
    async with undisturbed(client), connect(client.port) as connection:
        await connection.send(NOT_HTTP[name])
        response = await connection.response()
        await connection.ended()

    assert_problem(response, 400)


TOO_LARGE = {
    "a URL": (b"GET /healthz?" + b"a" * 16_384 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "16384"),
    "a huge URL": (b"GET /healthz?" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "16384"),
    "a field": (
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Huge: " + b"a" * 100_000 + b"\r\n\r\n",
        431,
        "32768",
    ),
    "a cookie": (
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"Cookie: a=" + b"a" * 32_768 + b"\r\n\r\n",
        431,
        "32768",
    ),
    "fields in all": (
        b"GET /healthz HTTP/1.1\r\n" + HOST + (b"X: " + b"a" * 8000 + b"\r\n") * 5 + b"\r\n",
        431,
        "32768",
    ),
    "a thousand fields": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 1000 + b"\r\n", 431, "256"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_head_over_a_limit_is_refused_with_the_limit(client, name):
    request, status, limit = TOO_LARGE[name]
    async with undisturbed(client), connect(client.port) as connection:
        await connection.send(request)
        response = await connection.response()

    assert_problem(response, status)
    assert limit in response.json["detail"]
    problem = response.json["type"].removeprefix("urn:tidegate:problem:")
    assert await client.metric("tidegate_problems_total", problem=problem) == 1


async def test_a_head_within_the_limits_is_taken(client):
    for headers in ([("Cookie", "a=" + "a" * 8300)], [("X", "a")] * 200):
        assert (await client.get(POLL, {"q": "a" * 8300}, headers=headers)).status == 200


async def test_what_is_not_http_is_logged_and_counted(client, caplog):
    caplog.set_level(logging.INFO)
    async with connect(client.port) as connection:
        await connection.send(NOT_HTTP["words"])
        await connection.response()

    assert await client.metric("tidegate_problems_total", problem="http") == 1
    assert [record.getMessage() for record in caplog.records if record.name.startswith("gateway")]


async def test_a_refusal_is_logged_with_its_reason(client, caplog):
    caplog.set_level(logging.INFO)
    await client.get(POLL, {"limit": "0"})
    [record] = [record for record in caplog.records if record.getMessage() == "request_refused"]

    assert record.fields["problem"] == "bad-parameter"
    assert record.fields["path"] == POLL


@pytest.mark.parametrize("path", [EVENTS, POLL, HISTORY, "/healthz", "/nowhere", "/api/v1/admin/flags"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("expected", ["200-maybe", "\udcff", "100-continue, 200-maybe"])
async def test_an_expectation_that_can_not_be_met_is_a_problem_everywhere(client, path, method, expected):
    headers = [JSON, ("Expect", "100-continue"), ("Expect", expected)]
    for given in (headers, [JSON, ("Expect", expected)]):
        assert_problem(await client.request(method, path, headers=given, body=b"{}"), 417)
    assert await client.metric("tidegate_problems_total", problem="expectation-failed") == 2
    assert await client.metric("tidegate_problems_total", problem="http") == 0


@pytest.mark.parametrize("path", [EVENTS, "/healthz", "/nowhere"])
@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9"])
async def test_another_version_of_http_is_refused_in_one_that_is_spoken(client, path, version):
    async with connect(client.port) as connection:
        await connection.request("GET", path, version=version)
        response = await connection.response()
        await connection.ended()

    assert_problem(response, 505)


@pytest.mark.parametrize("path", [EVENTS, "/nowhere"])
async def test_a_body_in_another_transfer_coding_than_chunks_is_refused(client, path):
    body = gzip.compress(b'{"eventType":"abc"}')
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    response = await client.request(
        "POST", path, headers=[JSON, ("Transfer-Encoding", "gzip, chunked")], body=chunks
    )

    assert_problem(response, 501)
    assert await client.metric("tidegate_problems_total", problem="unknown-transfer-coding") == 1


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on(client):
    async with connect(client.port) as connection:
        headers = [JSON, ("Expect", "100-continue"), ("Content-Length", "19")]
        await connection.request("POST", EVENTS, headers=headers)
        go_on, _ = await connection.head()
        await connection.send(b'{"eventType":"abc"}')
        response = await connection.response()

    assert (go_on, response.status) == (100, 201)


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/api/v1/sync", "/%zz%00/%ff", "/api/v1/sync/events/", "//"]
)
async def test_a_path_where_nothing_is_is_404(client, path):
    response = await client.get(path)

    assert_problem(response, 404)


@pytest.mark.parametrize("path", [POLL, HISTORY, "/healthz", "/readyz", "/metrics"])
async def test_a_method_that_a_resource_does_not_have_is_405(client, path):
    response = await client.request("DELETE", path)

    assert_problem(response, 405)
    assert "GET" in response.headers["Allow"]


STREAM_PARAMETERS = [
    ("hints", "maybe"),
    ("hints", ""),
    ("format", "json"),
    ("debounceMs", "soon"),
    ("debounceMs", ""),
    ("maxWaitMs", "1.5"),
    ("maxWaitMs", "0x10"),
    ("lastEventId", "x" * 257),
    ("lastEventId", "a\x00b"),
    ("last_event_id", "a\nb"),
    ("cursor", "a\x7fb"),
]


@pytest.mark.parametrize(("name", "value"), STREAM_PARAMETERS)
async def test_a_parameter_of_the_stream_that_is_wrong_is_400_and_named(client, name, value):
    async with undisturbed(client):
        response = await client.get(EVENTS, {name: value})

    assert_problem(response, 400)
    assert [error["parameter"] for error in response.json["errors"]] == [name]


async def test_a_header_s_cursor_over_256_characters_is_400(client):
    for path in (EVENTS, POLL):
        response = await client.get(path, headers=[("Last-Event-ID", "x" * 257)])
        assert (response.status, response.json["errors"][0]["parameter"]) == (400, "Last-Event-ID")
    response = await client.get(POLL, headers=[("If-None-Match", '"' + "x" * 257 + '"')])
    assert (response.status, response.json["errors"][0]["parameter"]) == (400, "If-None-Match")


@pytest.mark.parametrize("name", ["Last-Event-ID", "If-None-Match"])
async def test_a_header_s_cursor_that_is_no_text_is_unknown(client, name):
    async with undisturbed(client):
        response = await client.get(POLL, headers=[(name, "\udcff\udcfe")])

    assert (response.status, response.json["reset"]) == (200, {"reason": "unknown"})


@pytest.mark.parametrize(
    "query", ["component=%ED%A0%80", "component=%ff%", "entity=order:%ED%A0%80", "%zz=%"]
)
async def test_percent_encoded_nonsense_is_taken_as_the_text_that_it_is(client, query):
    async with undisturbed(client):
        polled = await client.get(f"{POLL}?{query}&cursor=earliest")
        async with client.stream(path=f"{EVENTS}?{query}") as stream:
            await stream.connected()

    assert polled.status == 200
    assert "Link" in polled.headers


async def test_a_parameter_that_is_given_twice_counts_as_its_first(client):
    await client.publish(event(1), event(2))
    response = await client.get(POLL, [("cursor", "earliest"), ("limit", "1"), ("limit", "1000")])

    assert numbers(response.json["events"]) == [1]


async def test_a_text_in_a_component_s_name_can_not_become_a_field_of_the_stream(client):
    async with client.stream({"component": "a\nid: forged\n\ndata: b"}) as stream:
        connected = await stream.connected()

    assert connected.data["modes"] == {"a\nid: forged\n\ndata: b": "streaming"}


async def test_a_poll_s_link_holds_what_came_in_without_becoming_a_header(client):
    response = await client.get(POLL, {"component": "a\r\nX-Forged: 1", "entity": 'order:>";\u2028'})

    assert response.status == 200
    assert "X-Forged" not in response.headers


async def test_requests_pipelined_behind_one_another_are_answered_in_order(client):
    async with connect(client.port) as connection:
        await connection.send(
            b"".join(
                b"GET %b HTTP/1.1\r\n%b\r\n" % (path, HOST) for path in (b"/healthz", b"/nowhere", b"/readyz")
            )
        )
        statuses = [(await connection.response()).status for _ in range(3)]

    assert statuses == [200, 404, 200]


async def test_connections_that_say_nothing_harm_nobody(client, gateway):
    async with undisturbed(client):
        before = len(gateway.call(lambda: gateway.server.connections))
        silent = [connect(client.port) for _ in range(50)]
        for connection in silent:
            await connection.__aenter__()
        assert (await client.get("/healthz")).status == 200
        for connection in silent:
            await connection.__aexit__(None, None, None)

        async def are_gone():
            return len(gateway.call(lambda: gateway.server.connections)) <= before

        await eventually(are_gone, "the silent connections are gone")


@pytest.mark.parametrize("path", ["/healthz", POLL, HISTORY, EVENTS, "/no/such/path"])
async def test_header_fields_that_are_too_many_in_all_are_431(client, path):
    fields = [(f"X-{number}", "a" * 8000) for number in range(5)]
    async with undisturbed(client):
        response = await client.get(path, headers=fields)
        within = await client.get("/healthz", headers=fields[:4])

    assert_problem(response, 431)
    assert within.status == 200
