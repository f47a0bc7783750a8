"""What the gateway's own poll asks of a real server, and what it makes of the statuses that are no list."""

import asyncio
import gzip
from typing import Any

import pytest
from aiohttp import web

from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.failures import BadAnswer, OtherStatus
from gateway.ports.upstreams import GivenAnswer, UpstreamAnswered
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, legacy_route, listed, order
from tests.support.polls import polls
from tests.support.upstream import Answering, Upstream, in_front_of, plain, upstream

pytestmark = pytest.mark.usefixtures("way_in")

GOOD = listed(order("A"))


async def fetched(backend: Upstream, **settings: Any) -> Fetched:
    route = legacy_route(upstream=backend.url, **settings)
    async with polls(route) as asking:
        answer = await asking.fetch(route, {})
    assert answer is not None
    return answer


async def given(backend: Upstream, clock: ManualClock | None = None, **settings: Any) -> GivenAnswer:
    """What callers may have of an answer that is no list."""
    route = legacy_route(upstream=backend.url, **settings)
    async with polls(route, clock=clock) as asking:
        with pytest.raises(OtherStatus) as raised:
            await asking.fetch(route, {})
    assert isinstance(raised.value, UpstreamAnswered)
    assert raised.value.kind == "status"
    return raised.value.answer


def redirecting(status: int, location: str) -> Answering:
    """Sends away from /orders, and answers anywhere else."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/orders":
            return web.Response(status=status, headers={"Location": location}, text="moved")
        return web.Response(body=GOOD, content_type="application/json")

    return answer


async def test_the_poll_alone_says_what_the_route_says_of_it(backend: Upstream) -> None:
    settings = {
        "headers": {"Authorization": "Bearer hush", "Accept": "application/vnd.shop+json"},
        "query": "limit=500&key=hush",
        "public_url": "https://api.shop.example",
    }
    async with in_front_of(backend.url + "?own=1", ManualClock(), interval_seconds=3600.0, **settings) as one:
        await one.get()
        await one.request("GET", PATH + "?mine=1", headers={"Accept": "text/html"})

    poll, forwarded = backend.asked
    assert (poll.method, poll.target) == ("GET", "/orders?own=1&limit=500&key=hush")
    assert poll.headers["Authorization"] == "Bearer hush"
    assert poll.headers["Accept"] == "application/vnd.shop+json"
    assert poll.headers["Host"] == poll.headers["X-Forwarded-Host"] == "api.shop.example"
    assert poll.headers["X-Forwarded-Proto"] == "https"
    assert forwarded.target == "/orders?mine=1"
    assert "Authorization" not in forwarded.headers
    assert forwarded.headers["Accept"] == "text/html"
    assert forwarded.headers["Host"] != "api.shop.example"


async def test_a_list_that_is_asked_for_by_post_is_asked_for_with_the_body(backend: Upstream) -> None:
    answer = await fetched(backend, method="POST", body='{"query":"{orders}"}')

    (asked,) = backend.asked
    assert (asked.method, asked.body) == ("POST", b'{"query":"{orders}"}')
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Content-Length"] == "20"
    assert answer.status == 200


async def test_a_post_is_never_conditional(backend: Upstream) -> None:
    route = legacy_route(upstream=backend.url, method="POST", body="{}")
    async with polls(route) as asking:
        assert await asking.fetch(route, {"If-None-Match": '"x"'}) is not None

    assert "If-None-Match" not in backend.asked[0].headers


async def test_a_compressed_answer_is_kept_as_it_came_beside_what_it_says(backend: Upstream) -> None:
    packed = gzip.compress(GOOD)
    backend.says(packed, Content_Encoding="gzip", ETag='"packed"')

    answer = await fetched(backend)

    assert (answer.body, answer.coded, answer.coding) == (GOOD, packed, "gzip")


async def test_an_answer_that_is_not_compressed_is_kept_once(backend: Upstream) -> None:
    backend.says(GOOD, Content_Encoding="identity")

    answer = await fetched(backend)

    assert (answer.body, answer.coded, answer.coding) == (GOOD, None, "")


async def test_several_codings_are_none_that_were_asked_for(backend: Upstream) -> None:
    backend.says(gzip.compress(GOOD), Content_Encoding="gzip, br")

    with pytest.raises(BadAnswer, match="content coding that was not asked for"):
        await fetched(backend)


@pytest.mark.parametrize(("status", "body"), [(204, b""), (404, b'{"error":"none"}')])
async def test_a_status_that_means_empty_is_an_answer(backend: Upstream, status: int, body: bytes) -> None:
    backend.says(body, status=status)

    answer = await fetched(backend, empty=[204, 404])

    assert (answer.status, answer.body) == (status, body)


async def test_any_other_answer_is_for_callers_to_have(backend: Upstream) -> None:
    backend.says(
        gzip.compress(b"Log in"),
        status=401,
        Content_Type="text/plain",
        Content_Encoding="gzip",
        WWW_Authenticate='Bearer realm="shop"',
        Set_Cookie="session=hush",
        Retry_After="7",
        ETag='"x"',
        Connection="X-Hop",
        X_Hop="1",
    )

    answer = await given(backend)

    assert (answer.status, answer.body, answer.retry_after_seconds) == (401, b"Log in", 7.0)
    assert dict(answer.headers) == {
        "Content-Type": "text/plain",
        "WWW-Authenticate": 'Bearer realm="shop"',
        "Retry-After": "7",
    }


@pytest.mark.parametrize("status", [204, 302, 403, 404, 410, 429, 500, 503])
async def test_each_status_is_kept(backend: Upstream, status: int) -> None:
    backend.says(b"", status=status)

    assert (await given(backend)).status == status


@pytest.mark.parametrize("size", [65_536, 65_537, 10_000_000])
async def test_a_body_that_is_too_long_to_keep_is_left_out(backend: Upstream, size: int) -> None:
    backend.says(b"x" * size, status=500)

    answer = await given(backend)

    assert len(answer.body) == (size if size <= 65_536 else 0)


async def test_a_body_that_unpacks_to_too_much_is_left_out(backend: Upstream) -> None:
    backend.says(gzip.compress(bytes(2**20)), status=500, Content_Encoding="gzip")

    assert (await given(backend)).body == b""


@pytest.mark.parametrize("status", [206, 304])
async def test_what_answers_another_question_is_for_nobody(backend: Upstream, status: int) -> None:
    backend.says(b"", status=status)

    with pytest.raises(BadAnswer) as raised:
        await fetched(backend)

    assert raised.value.kind == "status"
    assert not isinstance(raised.value, UpstreamAnswered)


@pytest.mark.parametrize(
    ("field", "date", "seconds"),
    [
        ("7", "", 7.0),
        (" 0 ", "", 0.0),
        ("3601", "", 3600.0),
        ("9" * 400, "", 3600.0),
        ("Fri, 27 Nov 2026 10:00:30 GMT", "Fri, 27 Nov 2026 10:00:00 GMT", 30.0),
        ("Fri, 27 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 10:00:30 GMT", 0.0),
        ("Fri, 27 Nov 2026 12:00:00 GMT", "Fri, 27 Nov 2026 10:00:00 GMT", 3600.0),
        ("-1", "", None),
        ("1.5", "", None),
        ("soon", "", None),
        ("", "", None),
    ],
)
async def test_how_long_it_asks_to_be_left_alone(
    backend: Upstream, field: str, date: str, seconds: float | None
) -> None:
    backend.says(b"", status=503, Retry_After=field, **({"Date": date} if date else {}))

    assert (await given(backend)).retry_after_seconds == seconds


async def test_a_redirect_is_the_answer_where_it_is_not_to_be_followed(backend: Upstream) -> None:
    backend.answering = redirecting(301, "/new")

    answer = await given(backend)

    assert (answer.status, answer.headers["Location"]) == (301, "/new")
    assert len(backend.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_within_the_origin(backend: Upstream, status: int) -> None:
    backend.answering = redirecting(status, "/new?page=1")

    answer = await fetched(backend, follow_redirects=True, headers={"Authorization": "Bearer hush"})

    assert answer.body == GOOD
    assert [asked.target for asked in backend.asked] == ["/orders", "/new?page=1"]
    assert backend.asked[1].headers["Authorization"] == "Bearer hush"


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
async def test_a_post_stays_a_post_where_the_redirect_says_so(
    backend: Upstream, status: int, method: str
) -> None:
    backend.answering = redirecting(status, "/new")

    await fetched(backend, follow_redirects=True, method="POST", body="{}")

    again = backend.asked[1]
    assert (again.method, again.body) == (method, b"{}" if method == "POST" else b"")
    assert ("Content-Type" in again.headers) == (method == "POST")


async def test_no_credential_follows_a_redirect_to_another_origin(backend: Upstream) -> None:
    async with upstream() as other:
        backend.answering = redirecting(302, other.url)

        answer = await given(backend, follow_redirects=True, headers={"Authorization": "Bearer hush"})

        assert (answer.status, answer.body) == (302, b"moved")
        assert other.asked == []


async def test_a_redirect_to_the_public_url_is_followed_within_the_upstream(backend: Upstream) -> None:
    backend.answering = redirecting(302, "https://api.shop.example/new")

    answer = await fetched(backend, follow_redirects=True, public_url="https://api.shop.example")

    assert answer.body == GOOD


async def test_redirects_in_a_circle_come_to_an_end(backend: Upstream) -> None:
    backend.answering = redirecting(302, "/orders")

    assert (await given(backend, follow_redirects=True)).status == 302
    assert len(backend.asked) == 6


async def test_an_upstream_that_redirects_too_slowly_is_a_timeout(backend: Upstream) -> None:
    never = asyncio.Event()
    moved = redirecting(302, "/new")

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/new":
            await never.wait()
        return await moved(request)

    backend.answering = answer
    async with in_front_of(
        backend.url, ManualClock(), interval_seconds=3600.0, timeout_seconds=0.2, follow_redirects=True
    ) as one:
        assert (await one.get()).status == 504


async def test_no_error_shows_a_secret(backend: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    settings: dict[str, Any] = {
        "headers": {"Authorization": "Bearer hush"},
        "query": "key=hush",
        "method": "POST",
        "body": "hush",
    }
    async with in_front_of(backend.url, ManualClock(), interval_seconds=3600.0, **settings) as one:
        for answering in (plain(b"", status=500), plain(b"<html>"), plain(b"", ETag="\x01")):
            backend.answering = answering
            got = await one.get()
            poller = one.source.poller(one.route)
            assert poller is not None
            poller.written()
            assert b"hush" not in got.body
            assert "hush" not in str(one.source.health())
    assert all("hush" not in str(record.__dict__) for record in caplog.records)
