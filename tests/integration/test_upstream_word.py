"""What an upstream says that is no list, as its callers get it, and when it wants to be left alone."""

import asyncio
from email.utils import formatdate

import pytest
from aiohttp import web

from tests.support.clock import ManualClock
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import Gateway, Upstream, in_front_of

pytestmark = pytest.mark.usefixtures("way_in")

GOOD = listed(order("A"))


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500, 503, 302, 204])
async def test_without_a_list_callers_get_the_upstreams_word(
    backend: Upstream, shared: Gateway, status: int
) -> None:
    body = b"" if status == 204 else b'{"why":"so"}'
    backend.says(
        body,
        status=status,
        Retry_After="7",
        WWW_Authenticate="Basic",
        X_Why="so",
        Set_Cookie="session=secret",
        Access_Control_Allow_Origin="*",
    )

    answers = await asyncio.gather(*(shared.get() for _ in range(5)))
    head = await shared.request("HEAD", PATH)

    assert {(got.status, got.body) for got in answers} == {(status, body)}
    assert (head.status, head.body) == (status, b"")
    for got in (*answers, head):
        assert got.headers["Retry-After"] == "7"
        assert got.headers["WWW-Authenticate"] == "Basic"
        assert got.headers["X-Why"] == "so"
        assert got.headers["Fetch-Mode"] == "streaming"
        assert got.headers["Cache-Control"] == "no-store"
        assert got.cache_status == "tidegate; fwd=miss"
        assert not {"Set-Cookie", "Access-Control-Allow-Origin", "Sync-Cursor", "ETag"} & {*got.headers}
    assert len(backend.asked) == 1


async def forbids_reading(request: web.Request) -> web.Response:
    return web.Response(status=201) if request.method == "POST" else web.Response(status=403, body=b"no")


async def test_where_there_is_a_list_that_is_good_enough_callers_get_that(
    backend: Upstream, clock: ManualClock
) -> None:
    async with in_front_of(
        backend.url, clock, interval_seconds=100.0, stale_if_error_seconds=300.0, write_poll_seconds=0.0
    ) as one:
        backend.says(GOOD)
        await one.get()
        backend.answering = forbids_reading
        await one.request("POST", PATH)
        clock.advance(150.0)
        stale = await one.get()
        clock.advance(200.0)
        gone = await one.get()

    assert (stale.status, stale.body) == (200, GOOD)
    assert stale.cache_status == "tidegate; hit; fwd=stale"
    assert (gone.status, gone.body) == (403, b"no")


@pytest.mark.parametrize("by_date", [False, True])
async def test_the_upstream_is_left_alone_as_long_as_it_asks(
    backend: Upstream, clock: ManualClock, by_date: bool
) -> None:
    async with in_front_of(backend.url, clock, interval_seconds=1.0) as one:
        after = formatdate(clock.wall_ms() // 1000 + 1200, usegmt=True) if by_date else "1200"
        backend.says(b"later", status=503, Retry_After=after, Date=formatdate(clock.wall_ms() // 1000))
        first = await one.get()
        for _ in range(3):
            clock.advance(399.0)
            one.source.wake()
            await one.request("POST", PATH)
            waiting = await one.get()
        through = await one.request("GET", PATH + "?page=2")
        polls = one.source.counters[PATH].polls
        clock.advance(4.0)
        backend.says(GOOD)
        good = await one.get()

    assert (first.status, first.headers["Retry-After"]) == (503, "1200")
    assert (waiting.status, waiting.headers["Retry-After"]) == (503, "3")
    assert waiting.headers["Age"] == "1197"
    assert polls == 1
    assert (through.status, through.cache_status) == (503, "tidegate; fwd=bypass")
    assert (good.status, good.body) == (200, GOOD)


async def test_an_hour_is_the_longest_that_the_upstream_is_left_alone(
    backend: Upstream, clock: ManualClock
) -> None:
    async with in_front_of(backend.url, clock, interval_seconds=1.0) as one:
        backend.says(b"later", status=429, Retry_After="86400")
        first = await one.get()
        clock.advance(3600.0)
        backend.says(GOOD)
        good = await one.get()

    assert (first.status, first.headers["Retry-After"]) == (429, "3600")
    assert good.status == 200
