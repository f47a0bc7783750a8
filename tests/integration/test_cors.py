"""Pages of other origins: what they may read, send and ask for (docs/protocol.md, section 9)."""

import asyncio

import orjson
import pytest

from tests.support.admin import FLAGS, ORDERS, operator
from tests.support.api import EVENTS, HISTORY, JSON, POLL, Client, assert_problem, event
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.http import Response, connect
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import upstream

APP, OTHER, EVIL = "https://app.shop.example", "http://localhost:5173", "https://evil.example"
CORS = {"origins": [APP, OTHER]}
FROM_APP = ("Origin", APP)
BODY = orjson.dumps(event())
RESOURCES = {
    EVENTS: "GET, POST",
    POLL: "GET, HEAD",
    HISTORY: "GET, HEAD",
    "/api/v1/sync/fetch-mode": "GET, HEAD",
    "/api/v1/sync/preference": "GET, HEAD, PUT",
    "/api/v1/sync/presence/portal": "GET, HEAD, PUT",
    "/api/v1/sync/broadcast/portal": "POST",
    "/api/v1/sync/telemetry": "POST",
    "/readyz": "GET, HEAD",
    "/healthz": "GET, HEAD",
    "/metrics": "GET, HEAD",
    ORDERS: "DELETE, GET, HEAD, PATCH, PUT",
}


@pytest.fixture
def client(start_gateway):
    return Client(start_gateway(make_settings(cors=CORS)).port)


@pytest.fixture
async def backend():
    async with upstream() as backend:
        yield backend


@pytest.fixture
def legacy(start_gateway, backend):
    """A client of a gateway with a shared route."""
    return Client(start_gateway(make_settings(cors=CORS, legacy=[route_settings(backend.url, 60.0)])).port)


def asks(method: str, *fields: str, origin: str = APP) -> list[tuple[str, str]]:
    """The header fields of a preflight."""
    asked = [("Access-Control-Request-Headers", ",".join(fields).lower())] if fields else []
    return [("Origin", origin), ("Access-Control-Request-Method", method), *asked]


def members(response: Response, name: str) -> set[str]:
    return {member.strip() for member in response.headers[name].split(",")}


def assert_readable(response: Response, origin: str = APP) -> None:
    """Pages of `origin` may read the answer with what protocol.md names, and caches keep it apart."""
    assert response.headers.getall("Access-Control-Allow-Origin") == [origin]
    assert response.headers.getall("Access-Control-Allow-Credentials") == ["true"]
    assert members(response, "Access-Control-Expose-Headers") >= {
        *("ETag", "Sync-Cursor", "Link", "Fetch-Mode", "Fetch-Mode-Reason", "Cache-Status", "Age"),
        *("Deprecation", "Sunset", "Retry-After", "Preference-Applied", "Location", "Allow"),
    }
    assert "Origin" in members(response, "Vary")


def assert_closed(response: Response) -> None:
    """Pages may not read the answer, and caches keep it apart from those that they may."""
    assert [name for name in response.headers if name.lower().startswith("access-control")] == []
    assert "Origin" in members(response, "Vary")


@pytest.mark.parametrize("origin", [APP, OTHER])
async def test_a_page_reads_an_answer_with_its_fields(client, origin):
    assert_readable(await client.request("GET", POLL, headers=[("Origin", origin)]), origin)


@pytest.mark.parametrize(
    "headers",
    [
        *([], [("Origin", EVIL)], [("Origin", "null")], [("Origin", "")], [("Origin", f"{APP}:8443")]),
        *([("Origin", f"{APP}/")], [("Origin", f"{APP}.evil.example")], [FROM_APP, ("Origin", EVIL)]),
        [("Origin", f"{APP}, {EVIL}")],
    ],
)
async def test_nobody_else_does_and_the_answer_still_varies(client, headers):
    response = await client.request("GET", POLL, headers=headers)
    assert response.status == 200
    assert_closed(response)


async def test_without_the_setting_answers_are_as_ever(start_gateway):
    client = Client(start_gateway(make_settings()).port)
    for method, path in (("GET", POLL), ("GET", "/nowhere"), ("OPTIONS", POLL)):
        response = await client.request(method, path, headers=asks("GET"))
        assert [name for name in response.headers if name.lower().startswith("access-control")] == []
        assert "Vary" not in response.headers
    assert response.status == 405


@pytest.mark.parametrize("path", RESOURCES)
async def test_a_preflight_is_answered_with_what_the_resource_takes(client, path):
    response = await client.request("OPTIONS", path, headers=asks("GET", "Last-Event-ID"))
    assert (response.status, response.body) == (204, b"")
    assert_readable(response)
    assert response.headers["Access-Control-Allow-Methods"] == RESOURCES[path]
    assert members(response, "Access-Control-Allow-Headers") >= {
        *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID"),
        *("Prefer", "Tidegate-Client", "Tidegate-Client-Id"),
    }
    assert response.headers["Access-Control-Max-Age"] == "7200"


@pytest.mark.parametrize("origin", [EVIL, "null", ""])
async def test_a_preflight_of_another_page_is_refused(client, origin):
    response = await client.request("OPTIONS", EVENTS, headers=asks("POST", origin=origin))
    assert_problem(response, 403)
    assert_closed(response)
    assert await client.metric("tidegate_problems_total", problem="foreign-origin") == 1


async def test_what_is_no_preflight_is_no_question(client):
    for headers in ([FROM_APP], [("Access-Control-Request-Method", "GET")], []):
        assert_problem(await client.request("OPTIONS", POLL, headers=headers), 405)
    response = await client.request("GET", POLL, headers=asks("PUT"))
    assert (response.status, response.json["events"]) == (200, [])


async def test_where_nothing_is_there_is_nothing_to_allow(client):
    response = await client.request("OPTIONS", "/nowhere", headers=asks("GET"))
    assert_problem(response, 404)
    assert_readable(response)


async def test_a_page_publishes(client):
    response = await client.request("POST", EVENTS, headers=[FROM_APP, JSON], body=BODY)
    assert response.status == 201
    assert_readable(response)


async def test_a_write_needs_every_origin_that_it_names(client):
    for headers in ([("Origin", EVIL)], [FROM_APP, ("Origin", EVIL)], [("Origin", "null")]):
        response = await client.request("POST", EVENTS, headers=[*headers, JSON], body=BODY)
        assert_problem(response, 403)
        assert_closed(response)
    assert (await client.request("POST", EVENTS, headers=[JSON], body=BODY)).status == 201
    own = [("Host", "localhost"), ("Origin", "http://localhost"), JSON]
    assert (await client.request("POST", EVENTS, headers=own, body=BODY)).status == 201
    assert len((await client.get(HISTORY)).json["events"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nowhere", [], 404),
        ("DELETE", POLL, [], 405),
        ("GET", f"{POLL}?limit=x", [], 400),
        ("GET", EVENTS, [("Accept", "text/html")], 406),
        ("POST", EVENTS, [JSON], 400),
        ("POST", EVENTS, [("Content-Type", "text/plain")], 415),
        ("GET", POLL, [("Host", "evil.example")], 421),
        ("GET", POLL, [("Host", "a b")], 400),
        ("GET", POLL, [("Expect", "202-maybe")], 417),
        ("POST", EVENTS, [JSON, ("Transfer-Encoding", "gzip, chunked")], 501),
        ("GET", POLL, [(f"X-{number}", "x" * 8000) for number in range(5)], 431),
        ("GET", POLL, [("X-Long", "x" * 40_000)], 431),
        ("GET", POLL, [(f"X-{number}", "x") for number in range(300)], 431),
        ("GET", f"{POLL}?x={'x' * 20_000}", [], 414),
        ("GET", POLL, [("Bad Name", "x")], 400),
        ("GET", FLAGS, [], 403),
    ],
)
async def test_a_page_reads_what_is_wrong(client, method, path, headers, status):
    body = b"1\r\n{\r\n0\r\n\r\n" if status == 501 else b"{" if method == "POST" else None
    async with connect(client.port) as connection:
        await connection.request(method, path, headers=[FROM_APP, *headers], body=body)
        response = await connection.response()
    assert_problem(response, status)
    assert_readable(response)


async def test_a_head_in_two_pieces_is_answered_to_its_page(client):
    async with connect(client.port) as connection:
        await connection.request("GET", POLL, headers=[("Origin", OTHER)])
        assert_readable(await connection.response(), OTHER)
        await connection.send(f"GET {POLL} HTTP/1.1\r\nHost: localhost\r\nOrigin: {APP}\r\n".encode())
        # Another connection's answer comes after what was sent before it.
        await client.get("/healthz")
        await connection.send(b"Bad Name: x\r\n\r\n")
        response = await connection.response()
    assert_problem(response, 400)
    assert_readable(response)


async def test_a_body_that_is_refused_is_read_about(start_gateway):
    settings = make_settings(cors=CORS, publish={"max_request_bytes": 1000})
    client = Client(start_gateway(settings, body_seconds=0.05).port)
    response = await client.request("POST", EVENTS, headers=[FROM_APP, JSON], body=b"x" * 2000)
    assert_problem(response, 413)
    assert_readable(response)
    async with connect(client.port) as connection:
        head = f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nOrigin: {APP}\r\n"
        await connection.send(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n".encode())
        late = await connection.response()
    assert_problem(late, 408)
    assert_readable(late)


@EVERY_WAY
@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_a_page_streams(start_gateway, compression, way):
    settings = make_settings(cors=CORS, stream={"compression": compression})
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream(headers=[FROM_APP, ("Accept-Encoding", "gzip")]) as stream:
        await stream.connected()
        assert stream.headers.getall("Access-Control-Allow-Origin") == [APP]
        assert stream.headers.getall("Access-Control-Allow-Credentials") == ["true"]
        assert stream.headers.getall("Vary") == [
            "Origin" if compression == "none" else "Accept-Encoding, Origin"
        ]
        await client.publish(event(1))
        assert (await stream.take(1))[0]["data"] == {"n": 1}


async def test_a_page_reads_that_nothing_is_new(client):
    tag = (await client.request("GET", POLL, headers=[FROM_APP])).headers["ETag"]
    response = await client.request("GET", POLL, headers=[FROM_APP, ("If-None-Match", tag)])
    assert response.status == 304
    assert_readable(response)


async def test_a_page_is_told_to_poll(start_gateway, tmp_path):
    flags = {"store": f"file:{tmp_path / 'flags.json'}"}
    client = Client(start_gateway(make_settings(cors=CORS, flags=flags)).port)
    async with operator(client.port) as admin:
        await admin.make(stage="off")
    response = await client.request("GET", f"{EVENTS}?component=orders", headers=[FROM_APP])
    assert (response.status, response.headers["Fetch-Mode"]) == (204, "polling")
    assert_readable(response)


async def test_administration_takes_nothing_from_pages_that_may_read(client):
    reason = b'{"reason": "r"}'
    response = await client.request("PUT", ORDERS, headers=[FROM_APP, JSON], body=reason)
    assert_problem(response, 403)
    assert_readable(response)


UPSTREAM_S_OWN = {
    "Access_Control_Allow_Origin": "*",
    "Access_Control_Allow_Credentials": "false",
    "Access_Control_Expose_Headers": "X-Secret",
    "Access_Control_Allow_Methods": "BREW",
    "Access_Control_Allow_Headers": "X-Upstream",
    "Access_Control_Max_Age": "1",
}


@pytest.mark.parametrize("target", [PATH, f"{PATH}?page=2", f"{PATH}/A"])
async def test_on_a_legacy_route_the_gateway_s_rules_count_alone(legacy, backend, target):
    backend.says(listed(order("A")), Vary="Accept-Encoding, Origin", ETag='"v1"', **UPSTREAM_S_OWN)
    readable = await legacy.request("GET", target, headers=[FROM_APP])
    assert (readable.status, readable.body) == (200, listed(order("A")))
    assert_readable(readable)
    assert readable.headers.getall("Vary") == ["Accept-Encoding, Origin"]
    unchanged = await legacy.request(
        "GET", target, headers=[FROM_APP, ("If-None-Match", readable.headers["ETag"])]
    )
    assert unchanged.status == 304
    assert_readable(unchanged)
    for headers in ([("Origin", EVIL)], []):
        assert_closed(await legacy.request("GET", target, headers=headers))


async def test_without_the_setting_the_upstream_s_rules_count_as_little(start_gateway, backend):
    backend.says(listed(), **UPSTREAM_S_OWN)
    legacy = Client(start_gateway(make_settings(legacy=[route_settings(backend.url, 60.0)])).port)
    for method, target in (("GET", PATH), ("GET", f"{PATH}/A"), ("POST", PATH), ("OPTIONS", PATH)):
        response = await legacy.request(method, target, headers=[("Access-Control-Request-Method", "GET")])
        assert response.status == 200
        assert [name for name in response.headers if name.lower().startswith("access-control")] == []


async def test_a_preflight_of_a_legacy_route_allows_what_the_upstream_may_take(legacy, backend):
    for target in (PATH, f"{PATH}/A?b=c"):
        asked = asks("PURGE", "X-Requested-With", "Content-Type", "no token")
        response = await legacy.request("OPTIONS", target, headers=asked)
        assert (response.status, response.body) == (204, b"")
        assert_readable(response)
        assert members(response, "Access-Control-Allow-Methods") == {
            *("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PURGE", "PUT")
        }
        fields = members(response, "Access-Control-Allow-Headers")
        assert {"x-requested-with", "Content-Type"} <= fields
        assert not {"content-type", "no token"} & fields
    assert_problem(await legacy.request("OPTIONS", PATH, headers=asks("PUT", origin=EVIL)), 403)
    assert [asked.method for asked in backend.asked if asked.method != "GET"] == []
    plain = await legacy.request("OPTIONS", PATH, headers=[FROM_APP])
    assert plain.status == 200
    assert backend.asked[-1].method == "OPTIONS"


async def test_a_page_writes_through_a_legacy_route_where_it_may(legacy, backend):
    for method, target in (("POST", PATH), ("DELETE", f"{PATH}/A")):
        refused = await legacy.request(method, target, headers=[("Origin", EVIL)], body=b"")
        assert_problem(refused, 403)
        assert [asked for asked in backend.asked if asked.method == method] == []
        written = await legacy.request(method, target, headers=[FROM_APP], body=b"")
        assert written.status == 200
        assert_readable(written)


async def test_an_upstream_out_of_reach_is_a_problem_that_the_page_reads(start_gateway):
    async with upstream() as backend:
        url = backend.url
    legacy = Client(start_gateway(make_settings(cors=CORS, legacy=[route_settings(url, 60.0)])).port)
    for target in (PATH, f"{PATH}/A"):
        response = await legacy.request("GET", target, headers=[FROM_APP])
        assert_problem(response, 502)
        assert_readable(response)


async def test_a_long_snapshot_in_parts_is_readable(legacy, backend):
    body = listed(*[order(f"O-{number}", note="x" * 500) for number in range(400)])
    backend.says(body)
    response = await legacy.request("GET", PATH, headers=[FROM_APP])
    assert response.body == body
    assert_readable(response)


async def test_a_drain_s_bye_is_readable(start_gateway):
    gateway = start_gateway(make_settings(cors=CORS))
    client = Client(gateway.port)
    async with connect(client.port) as connection:
        await connection.request("GET", "/healthz")
        await connection.response()
        gateway.call(lambda: asyncio.ensure_future(gateway.parts.delivery.drain(0.0)))
        await connection.request("GET", EVENTS, headers=[FROM_APP])
        response = await connection.response()
    assert (response.status, b"event: bye" in response.body) == (200, True)
    assert_readable(response)
