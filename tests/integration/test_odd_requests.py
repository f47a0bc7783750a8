"""Whatever a request's head says, no answer is a failure of the gateway's, nor does the guard see one."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.service.wiring.http import Way
from tests.support.admin import ORDERS, operator
from tests.support.api import EVENTS, POLL, Client
from tests.support.gateway import EVERY_WAY, GatewayThread, make_settings
from tests.support.http import connect
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import raw_answer, raw_upstream

COMPONENT = "component=orders"


class Request(NamedTuple):
    """A request that is answered well as it is, and each time it has an odd field more."""

    method: str
    path: str
    body: bytes | None = None


REQUESTS = {
    "a stream": Request("GET", f"{EVENTS}?{COMPONENT}"),
    "a stream with a body": Request("GET", f"{EVENTS}?{COMPONENT}", b"{}"),
    "a poll": Request("GET", f"{POLL}?{COMPONENT}"),
    "a legacy read": Request("GET", PATH),
    "a legacy write": Request("POST", PATH, b"{}"),
    "an event": Request("POST", EVENTS, b'{"eventType":"abc"}'),
    "a report": Request("POST", "/api/v1/sync/telemetry", b'{"component":"orders","fallback":"blocked"}'),
}
FIELDS = (
    *("Accept", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method"),
    *("Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie"),
    *("Expect", "Forwarded", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "Last-Event-ID"),
    *("Origin", "Range", "Sec-Fetch-Site", "Tidegate-Client", "Tidegate-Client-Id", "Transfer-Encoding"),
    *("Upgrade", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
)
"""Those that the gateway reads, or aiohttp."""
VALUES = {
    "nothing": (b"",),
    "no text": (b"\xff\x80",),
    "half a quoted text": (b'W/"\xff',),
    "a digit that is none of ASCII's": (b"1\xb2",),
    "a number past any": (b"9" * 5000,),
    "half an address": (b"http://[::1",),
    "commas": (b"," * 5000,),
    "a charset of Python's": (b"application/json; charset=rot13",),
    "a date of no year": (b"Fri, 20 Nov 0000 10:30:00 -2400",),
    "an entry that is no text, repeated": (b"a", b"\xff"),
    "nothing, a hundred times": (b"",) * 100,
}
PARAMETERS = (
    *("capable", "channel", "clientId", "clientVersion", "component", "cursor", "debounceMs"),
    *("entity", "eventTypes", "filter", "format", "hints", "lastEventId", "limit", "orderID"),
    *("presence", "state", "wait"),
)
TEXTS = (
    *("", "%", "%ff", "%00", "%C2%B2", "%ED%B3%A9", "9" * 5000, "e.1-%D9%A1", "a=gt.nan", "a=in.(%22"),
    "%0d%0aa:b",
)
UNKNOWN_CODING = 501
"""What a request in another coding than chunks gets, though it is the caller's (RFC 9112, section 6.1)."""


@pytest.fixture
async def gateway(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path, way: Way
) -> AsyncIterator[GatewayThread]:
    """With every kind of resource, behind a proxy that it believes, and pages of another origin."""
    async with raw_upstream(raw_answer(listed(order("A")))) as (url, _):
        yield start_gateway(
            make_settings(
                server={"drain_seconds": 1.0, "trusted_proxies": ["127.0.0.1"]},
                cors={"origins": ["https://app.shop.example"]},
                flags={"store": f"file:{tmp_path}/flags.json"},
                entities={"order": {"id_alias": "orderID"}},
                legacy=[route_settings(url, 0.05, changes={})],
            ),
            way=way,
        )


def with_odd_fields(request: Request) -> Iterator[tuple[str, bytes]]:
    """What is odd, and the request with it."""
    for field in FIELDS:
        for kind, values in VALUES.items():
            fields = [(field.encode(), value) for value in values]
            yield f"{field}: {kind}", whole(request, request.path, fields)


def with_odd_parameters(request: Request) -> Iterator[tuple[str, bytes]]:
    path, _, _ = request.path.partition("?")
    for name in PARAMETERS:
        for text in TEXTS:
            yield f"{name}={text[:20]}", whole(request, f"{path}?{name}={text}", [])


def whole(request: Request, target: str, odd: list[tuple[bytes, bytes]]) -> bytes:
    fields = [(b"Host", b"localhost"), (b"Content-Type", b"application/json")]
    if request.body is not None:
        fields.append((b"Content-Length", b"%d" % len(request.body)))
    given = {name for name, _ in odd}
    lines = [f"{request.method} {target} HTTP/1.1".encode()]
    lines += [b"%b: %b" % field for field in [field for field in fields if field[0] not in given] + odd]
    return b"\r\n".join([*lines, b"", request.body or b""])


async def status_of(port: int, request: bytes) -> int:
    async with connect(port) as connection:
        await connection.send(request)
        status, _ = await connection.head()
        if status == 100:
            status, _ = await connection.head()
    return status


@EVERY_WAY
@pytest.mark.parametrize("name", REQUESTS)
async def test_no_head_of_a_request_is_a_failure_of_the_gateway_s(gateway: GatewayThread, name: str) -> None:
    request, client = REQUESTS[name], Client(gateway.port)
    async with operator(gateway.port) as admin:
        await admin.make(stage="live", percentage=50)
        for given in (with_odd_fields(request), with_odd_parameters(request)):
            for odd, sent in given:
                status = await status_of(gateway.port, sent)
                coded = odd.startswith("Transfer-Encoding") and status == UNKNOWN_CODING
                assert status < 500 or coded, odd
        guard = (await admin.get(f"{ORDERS}/guard")).json()

    assert guard["metrics"]["errorRate"]["value"] in (None, 0)
    assert await client.metric("tidegate_problems_total", problem="internal") == 0


@EVERY_WAY
@pytest.mark.parametrize("expected", [b"\xff", b"100-continue\xff", b"100-continue, \xff", b"\x80=1;q"])
async def test_an_expectation_that_is_no_text_is_a_417(gateway: GatewayThread, expected: bytes) -> None:
    for name, request in REQUESTS.items():
        sent = whole(request, request.path, [(b"Expect", expected)])
        assert await status_of(gateway.port, sent) == 417, name
