"""What goes through to the upstream: writes, paths below, and routes whose answers depend on the caller."""

import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.ports.clock import SystemClock
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import (
    Gateway,
    Upstream,
    in_front_of,
    listening,
    raw_upstream,
)

pytestmark = pytest.mark.usefixtures("way_in")


@pytest.fixture
async def own(backend: Upstream) -> AsyncIterator[Gateway]:
    """A route whose answers depend on the caller."""
    async with in_front_of(backend.url, SystemClock(), shared=False, wanted=lambda entity: True) as one:
        yield one


async def test_an_answer_for_one_caller_is_asked_with_its_own_credentials(
    backend: Upstream, own: Gateway
) -> None:
    async def greeting(request: web.Request) -> web.StreamResponse:
        answer = web.Response(text=f"for {request.headers['Authorization']} {request.headers['Cookie']}")
        answer.set_cookie("session", "new")
        return answer

    backend.answering = greeting

    first = await own.get(Authorization="Bearer one", Cookie="me=1")
    second = await own.get(Authorization="Bearer two", Cookie="me=2")

    assert (first.body, second.body) == (b"for Bearer one me=1", b"for Bearer two me=2")
    assert first.cache_status == "tidegate; fwd=bypass"
    assert first.headers["Set-Cookie"].startswith("session=new")
    assert "Sync-Cursor" not in first.headers


async def test_a_read_that_goes_through_names_the_stream_from_before_it_beside_the_upstreams_links(
    backend: Upstream, own: Gateway, shared: Gateway
) -> None:
    backend.says(b"page 2", Link='</orders?page=3>; rel="next"')
    stream = (
        '</api/v1/sync/events?entity=order&lastEventId=now.7-0>; rel="alternate"; type="text/event-stream"'
    )
    for got in (await own.get(), await shared.request("GET", f"{PATH}?page=2")):
        assert got.headers.getall("Link") == [stream, '</orders?page=3>; rel="next"']
        assert got.headers["Fetch-Mode"] == "streaming"
    below = await shared.request("GET", f"{PATH}/A")
    assert below.headers.getall("Link") == ['</orders?page=3>; rel="next"']


async def test_a_cookie_that_one_caller_got_is_not_sent_for_another(backend: Upstream, own: Gateway) -> None:
    backend.says(b"", Set_Cookie="session=one")
    await own.get()

    await own.get()

    assert "Cookie" not in backend.asked[-1].headers


async def test_an_answer_for_one_caller_is_never_compared(backend: Upstream, own: Gateway) -> None:
    backend.says(listed(order("A")))
    await own.get()
    backend.says(listed(order("B")))
    await own.get()

    assert len(backend.asked) == 2
    assert await own.events() == []
    assert own.source.health() == []


async def test_a_conditional_request_of_one_caller_is_the_upstreams_to_answer(
    backend: Upstream, own: Gateway
) -> None:
    backend.says(listed(order("A")), ETag='"v1"')

    got = await own.get(**{"If-None-Match": '"v1"'})

    assert (got.status, got.headers["ETag"], got.body) == (304, '"v1"', b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
async def test_other_methods_go_through_unchanged(backend: Upstream, shared: Gateway, method: str) -> None:
    backend.says(b'{"done":true}', status=202, X_Answer="yes", Content_Type="application/json")

    got = await shared.request(
        method, PATH + "?dry=%2F", data=b'{"a":1}', headers={"Content-Type": "application/x", "X-Own": "1"}
    )

    asked = backend.asked[0]
    assert (asked.method, asked.target, asked.body) == (method, "/orders?dry=%2F", b'{"a":1}')
    assert (asked.headers["Content-Type"], asked.headers["X-Own"]) == ("application/x", "1")
    assert (got.status, got.body, got.headers["X-Answer"]) == (202, b'{"done":true}', "yes")


async def test_the_cache_status_of_caches_before_this_one_stays(backend: Upstream, shared: Gateway) -> None:
    backend.says(b"", Cache_Status="Origin; hit")

    got = await shared.request("POST", PATH)

    assert got.headers.getall("Cache-Status") == ["Origin; hit", "tidegate; fwd=method"]


async def test_fields_of_the_connection_stay_on_it(backend: Upstream, shared: Gateway) -> None:
    backend.says(b"", X_Hop="1", Connection="X-Hop", X_End="2")

    got = await shared.request(
        "POST",
        PATH,
        headers={"Connection": "keep-alive, X-Once", "X-Once": "1", "TE": "trailers", "Keep-Alive": "5"},
    )

    asked = backend.asked[0].headers
    assert not {"X-Once", "TE", "Keep-Alive"} & asked.keys()
    assert "X-Hop" not in got.headers
    assert got.headers["X-End"] == "2"


async def test_the_upstream_learns_who_asked_and_keeps_its_own_host(backend: Upstream) -> None:
    async with in_front_of(backend.url, SystemClock(), trusted_proxies=["127.0.0.1/32"]) as one:
        await one.request("POST", PATH, headers={"X-Forwarded-For": "203.0.113.7", "Host": "public.example"})

    asked = backend.asked[0].headers
    assert asked["Host"] == backend.url.split("/")[2]
    assert asked["X-Forwarded-For"] == "203.0.113.7, 127.0.0.1"
    assert asked["X-Forwarded-Host"] == "public.example"
    assert asked["X-Forwarded-Proto"] == "http"
    assert asked["Via"] == "1.1 tidegate"


async def test_nothing_is_added_in_the_callers_name(backend: Upstream, shared: Gateway) -> None:
    await shared.request(
        "POST", PATH, skip_auto_headers=["User-Agent", "Accept", "Accept-Encoding", "Content-Type"]
    )

    asked = backend.asked[0].headers
    assert not {"User-Agent", "Accept", "Accept-Encoding", "Content-Type"} & asked.keys()


async def test_a_field_that_is_latin_1_arrives_as_text() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n"
    async with raw_upstream(answer) as (url, _), in_front_of(url, ManualClock()) as one:
        got = await one.request("POST", PATH)

    assert got.headers["X-Name"] == "café"


async def test_a_packed_answer_goes_through_packed(backend: Upstream, shared: Gateway) -> None:
    packed = gzip.compress(b"plain")
    backend.says(packed, Content_Encoding="gzip")

    async with shared.client.get(shared.url + PATH + "/A", auto_decompress=False) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == packed


@pytest.mark.parametrize(
    ("below", "target"),
    [
        ("/ORDER-1", "/orders/ORDER-1"),
        ("/", "/orders/"),
        ("/a%2Fb/c%20d", "/orders/a%2Fb/c%20d"),
        ("/%C3%A9?x=%26&y=+", "/orders/%C3%A9?x=%26&y=+"),
        ("//x", "/orders//x"),
        ("/...", "/orders/..."),
        ("/a..b", "/orders/a..b"),
    ],
)
async def test_paths_below_go_through_as_they_are_written(
    backend: Upstream, shared: Gateway, below: str, target: str
) -> None:
    got = await shared.request("GET", PATH + below)

    assert backend.asked[0].target == target
    assert got.cache_status == "tidegate; fwd=bypass"


@pytest.mark.parametrize(
    "below",
    [
        "/../secret",
        "/..",
        "/a/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/.%2E",
        "/%252e%252e/x",
        "/..%5cx",
    ],
)
async def test_a_path_below_can_not_climb_out_of_the_upstream(
    backend: Upstream, shared: Gateway, below: str
) -> None:
    got = await shared.request("GET", PATH + below)

    assert got.status == 400
    assert backend.asked == []


async def test_a_route_written_with_escapes_is_still_the_route(backend: Upstream, shared: Gateway) -> None:
    await shared.request("GET", "/api/v1/%6frders/A%2Fb")

    assert backend.asked[0].target == "/orders/A%2Fb"


async def test_the_query_of_the_route_is_the_polls_alone(backend: Upstream) -> None:
    async with in_front_of(backend.url + "?token=secret&_limit=3", ManualClock()) as one:
        await one.get()
        for target in (PATH + "/A?x=1", PATH + "/A", PATH + "?_limit=1"):
            await one.request("GET", target)
        await one.request("POST", PATH)

    targets = ["/orders?token=secret&_limit=3", "/orders/A?x=1", "/orders/A", "/orders?_limit=1", "/orders"]
    assert [asked.target for asked in backend.asked[:5]] == targets


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
@pytest.mark.parametrize("coding", ["gzip", "br", "unheard-of"])
async def test_a_packed_body_goes_through_as_the_bytes_that_came(
    backend: Upstream, shared: Gateway, method: str, coding: str
) -> None:
    packed = gzip.compress(b'{"a":1}')

    await shared.request(method, PATH + "/A", data=packed, headers={"Content-Encoding": coding})

    (asked,) = backend.asked
    assert asked.body == packed
    assert (asked.headers["Content-Encoding"], asked.headers["Content-Length"]) == (coding, str(len(packed)))


@pytest.mark.parametrize("space", [" ", "\t"])
@pytest.mark.parametrize("scheme", ["NTLM", "ntlm", "Negotiate"])
async def test_a_connection_that_one_caller_authenticated_serves_no_other(scheme: str, space: str) -> None:
    """So do IIS and others: who authenticated on a connection is taken for all that follows on it."""
    connections: dict[object, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization")
        if given is not None:
            connections[request.transport] = given
        return web.Response(text=connections.get(request.transport, "nobody"))

    app = web.Application()
    app.router.add_get("/orders/{id}", answer)
    async with listening(app) as url, in_front_of(url + "/orders", ManualClock()) as one:
        assert (await one.request("GET", PATH + "/A")).body == b"nobody"
        own = await one.request("GET", PATH + "/A", headers={"Authorization": f"{scheme}{space}alice"})
        assert own.body == f"{scheme}{space}alice".encode()
        for _ in range(3):
            assert (await one.request("GET", PATH + "/A")).body == b"nobody"


async def test_a_redirect_is_the_callers_to_follow(backend: Upstream, shared: Gateway) -> None:
    backend.says(b"", status=303, Location="/orders/A")

    got = await shared.request("POST", PATH, allow_redirects=False)

    assert (got.status, got.headers["Location"]) == (303, "/orders/A")
    assert [asked.method for asked in backend.asked] == ["POST"]


async def test_head_of_a_path_below_has_the_length_and_no_body(backend: Upstream, shared: Gateway) -> None:
    backend.says(b"12345")

    got = await shared.request("HEAD", PATH + "/A")

    assert (got.status, got.headers["Content-Length"], got.body) == (200, "5", b"")
