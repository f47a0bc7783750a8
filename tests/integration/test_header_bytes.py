"""Header fields with bytes that are no text, from upstreams and from callers."""

import re
from urllib.parse import quote

import orjson
import pytest

from tests.support.api import EVENTS, HISTORY, JSON, POLL, Client, assert_problem, event, eventually
from tests.support.gateway import make_settings
from tests.support.http import connect
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import raw_answer, raw_upstream

NO_TEXT = b"caf\xe9".decode("utf-8", "surrogateescape")
LOGS = ("memory://", "sqlite:///{}/events.db")


def legacy(url: str):
    return route_settings(url, 0.05, changes={})


async def raw(port: int, request: bytes) -> bytes:
    async with connect(port) as connection:
        await connection.send(request)
        return await connection.ended()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


FIELDS = {
    "text in Latin-1": (b"X-Place: caf\xe9", "café".encode()),
    "text in UTF-8": ("X-Place: café".encode(), "café".encode()),
    "a control character": (b"X-Place: a\x01b", None),
    "a control character that Latin-1 has": (b"X-Place: a\x7fb\xe9", None),
    "an entity tag in Latin-1": (b'ETag: "caf\xe9"', None),
    "an entity tag with a control character": (b'ETag: "a\x01"', None),
    "a date with a control character": (b"Last-Modified: Fri, 20 Nov 2020 10:30:00 GMT\x01", None),
}


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", FIELDS)
async def test_a_route_goes_on_whatever_bytes_the_upstream_s_fields_have(start_gateway, tmp_path, log, name):
    field, text = FIELDS[name]
    first, second = listed(order("A")), listed(order("A"), order("B"))
    async with raw_upstream(
        raw_answer(first, field), raw_answer(first, field), raw_answer(second, field)
    ) as (
        url,
        heads,
    ):
        gateway = start_gateway(make_settings(log={"url": log.format(tmp_path)}, legacy=[legacy(url)]))
        client = Client(gateway.port)

        async def shows_second():
            return (await raw(gateway.port, get(PATH))).endswith(second)

        async with client.stream({"entity": "order"}) as stream:
            await stream.connected()
            await eventually(shows_second, "the second answer is served")
            [created] = await stream.take(1)
        got = await raw(gateway.port, get(PATH))
        forwarded = await raw(gateway.port, get(PATH + "/A"))

    assert (created["eventType"], created["entityId"]) == ("order_created", "B")
    for whole in (got, forwarded):
        assert whole.startswith(b"HTTP/1.1 200 ")
        given = re.search(rb"\r\nX-Place: ([^\r]*)", whole)
        assert (given and given[1]) == text
    assert not any(b"\x01" in head or b"caf" in head for head in heads)
    if b"X-Place" in field and text is None:
        assert await client.metric("tidegate_upstream_fields_left_out_total", path=PATH) > 0
    assert await client.metric("tidegate_upstream_crashes_total", path=PATH) == 0
    assert await client.metric("tidegate_problems_total", problem="internal") == 0


@pytest.mark.parametrize(
    ("tag", "passed"),
    [
        (b'"a"', [b'"a"']),
        ('"café"'.encode(), ['"café"'.encode()]),
        (b'"caf\xe9"', []),
        (b'W/"caf\xe9"', []),
    ],
)
async def test_a_validator_goes_through_as_its_very_bytes_or_not_at_all(start_gateway, tag, passed):
    async with raw_upstream(raw_answer(listed(order("A")), b"ETag: " + tag)) as (url, _):
        gateway = start_gateway(make_settings(legacy=[legacy(url)]))
        forwarded = await raw(gateway.port, get(PATH + "/A"))

    assert re.findall(rb"(?i)\r\nETag: ([^\r]*)", forwarded) == passed


KEYED = [
    ("GET", POLL, "Tidegate-Client-Id"),
    ("GET", EVENTS, "Tidegate-Client-Id"),
    ("GET", "/api/v1/sync/fetch-mode?component=orders", "Tidegate-Client-Id"),
    ("GET", POLL, "Tidegate-Client"),
    ("POST", EVENTS, "Idempotency-Key"),
]


@pytest.mark.parametrize(("method", "path", "field"), KEYED)
async def test_a_field_that_has_to_be_text_is_a_400_that_names_it(client, method, path, field):
    body = orjson.dumps(event(1)) if method == "POST" else None
    response = await client.request(method, path, headers=[JSON, (field, NO_TEXT)], body=body)

    assert_problem(response, 400)
    assert [error["parameter"] for error in response.json["errors"]] == [field]
    assert (await client.get(HISTORY)).json["events"] == []


async def test_a_caller_s_cookies_may_come_in_several_lines(flagged, admin):
    """HTTP/2 splits the field, and a proxy may pass that on (RFC 9113, section 8.2.3)."""
    await admin.make(stage="live", percentage=50)
    client = Client(flagged.port)
    for number in range(20):
        session = ("Cookie", f"tidegate_session=s{number}")
        modes = [
            (await client.get("/api/v1/sync/fetch-mode?component=orders", headers=cookies)).json["mode"]
            for cookies in ([session], [("Cookie", "other=1"), session], [session, ("Cookie", "other=1")])
        ]
        assert len(set(modes)) == 1


async def test_a_session_that_is_no_text_is_a_400_and_other_cookies_are_not_looked_at(client):
    assert_problem(await client.get(POLL, headers=[("Cookie", f"tidegate_session={NO_TEXT}")]), 400)
    assert (await client.get(POLL, headers=[("Cookie", f"other={NO_TEXT}")])).status == 200


FIELDS_OF_CALLERS = (
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Forwarded",
    "Host",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "Last-Event-ID",
    "Origin",
    "Prefer",
    "Range",
    "Referer",
    "Sec-Fetch-Site",
    "Tidegate-Client",
    "Tidegate-Client-Id",
    "Tidegate-Operator",
    "User-Agent",
    "X-Forwarded-For",
    "X-Unknown",
)
PARAMETERS = (
    "entity",
    "eventTypes",
    "filter",
    "component",
    "cursor",
    "lastEventId",
    "hints",
    "format",
    "limit",
    "wait",
    "clientId",
    "clientVersion",
    "capable",
    "orderID",
    "user",
)
PATHS = (
    ("GET", EVENTS),
    ("POST", EVENTS),
    ("GET", POLL),
    ("GET", HISTORY),
    ("GET", "/api/v1/sync/fetch-mode"),
    ("PUT", "/api/v1/sync/preference"),
    ("POST", "/api/v1/sync/telemetry"),
    ("GET", "/api/v1/admin/flags"),
    ("PUT", "/api/v1/admin/flags/orders"),
    ("GET", "/api/v1/admin/explain"),
    ("GET", "/nowhere"),
    ("GET", PATH),
    ("POST", PATH),
    ("GET", PATH + "/A"),
)


@pytest.fixture
async def everything(start_gateway, tmp_path):
    """A client of a gateway with every endpoint; what it keeps, it keeps in UTF-8."""
    async with raw_upstream(raw_answer(listed(order("A")))) as (url, _):
        settings = make_settings(
            log={"url": f"sqlite:///{tmp_path}/events.db"},
            flags={"store": f"file:{tmp_path}/flags.json"},
            entities={"order": {"id_alias": "orderID"}},
            legacy=[legacy(url)],
        )
        yield Client(start_gateway(settings).port)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_no_byte_of_a_request_is_a_failure_of_the_gateway_s(everything, method, path):
    value = quote("order:a.eq=", safe="")
    targets = [(path, (field, NO_TEXT)) for field in FIELDS_OF_CALLERS]
    for name in PARAMETERS:
        targets += [(f"{path}?{name}={value}{sent}", ("X", "1")) for sent in (NO_TEXT, "%E9", "%ED%B3%A9")]
    targets += [(f"{path}/{NO_TEXT}", ("X", "1")), (f"{path}/%E9", ("X", "1"))]
    body = None if method == "GET" else b"{}"
    for target, field in targets:
        async with connect(everything.port) as connection:
            headers = [field] if field[0] in ("Content-Type", "Host") else [JSON, field]
            await connection.request(method, target, headers=headers, body=body)
            status, _ = await connection.head()
        assert status < 500, (target, field)
    assert await everything.metric("tidegate_problems_total", problem="internal") == 0
