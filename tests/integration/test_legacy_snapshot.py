"""A shared legacy route, asked over HTTP: one snapshot for everybody."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from yarl import URL

from gateway.core.errors import UpstreamError
from gateway.ports.clock import SystemClock
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, listed, order
from tests.support.loop import let_others_run
from tests.support.upstream import (
    Gateway,
    Upstream,
    held_until,
    in_front_of,
)

pytestmark = pytest.mark.usefixtures("way_in")

FIRST = b'{ "docs" : [ {"orderID":"A","orderStage":"open"} ] }\n'


@pytest.fixture
async def quiet(backend: Upstream, clock: ManualClock) -> AsyncIterator[Gateway]:
    """A gateway that polls on its own only after an hour."""
    async with in_front_of(backend.url, clock, interval_seconds=3600.0) as one:
        yield one


async def test_the_upstreams_body_is_served_byte_for_byte(backend: Upstream, quiet: Gateway) -> None:
    backend.says(FIRST, Content_Type="application/vnd.orders+json; charset=utf-8", X_Total_Count="1")

    got = await quiet.get()

    assert (got.status, got.body) == (200, FIRST)
    assert got.headers["Content-Type"] == "application/vnd.orders+json; charset=utf-8"
    assert got.headers["X-Total-Count"] == "1"


async def test_an_answer_says_what_it_is_and_where_the_stream_is(
    backend: Upstream, quiet: Gateway, clock: ManualClock
) -> None:
    backend.says(FIRST, ETag='"v1"')
    await quiet.get()
    clock.advance(3.0)
    await quiet.get()
    clock.advance(4.9)

    got = await quiet.get()

    cursor = got.headers["Sync-Cursor"]
    assert got.headers["ETag"] == '"v1"'
    assert got.headers["Age"] == "7"
    assert got.headers["Fetch-Mode"] == "streaming"
    assert got.headers["Cache-Control"] == "private, no-cache"
    assert got.headers["Link"] == (
        f'</api/v1/sync/events?entity=order&lastEventId={cursor}>; rel="alternate"; type="text/event-stream"'
    )
    assert cursor == f"{quiet.log.epoch}.0-0"


async def test_an_answer_that_waited_for_the_upstream_is_a_miss_and_the_next_a_hit(quiet: Gateway) -> None:
    first, second = await quiet.get(), await quiet.get()

    assert first.cache_status == "tidegate; fwd=miss"
    assert second.cache_status == "tidegate; hit"
    assert quiet.source.counters[PATH].waited == 1


@pytest.mark.parametrize("field", ['"v1"', 'W/"v1"', '"v0", W/"v1"', "*"])
async def test_a_caller_that_has_the_answer_gets_304_with_the_same_fields(
    backend: Upstream, quiet: Gateway, field: str
) -> None:
    backend.says(FIRST, ETag='"v1"', Vary="Origin")
    await quiet.get()

    got = await quiet.get(If_None_Match="never", **{"If-None-Match": field})

    assert (got.status, got.body) == (304, b"")
    assert got.headers["ETag"] == '"v1"'
    assert got.headers["Vary"] == "Origin"
    for name in ("Sync-Cursor", "Age", "Cache-Status", "Fetch-Mode", "Link", "Cache-Control"):
        assert name in got.headers
    assert quiet.source.counters[PATH].served_304 == 1


async def test_a_caller_that_has_another_answer_gets_the_whole(backend: Upstream, quiet: Gateway) -> None:
    backend.says(FIRST, ETag='"v1"')

    got = await quiet.get(**{"If-None-Match": '"v0"'})

    assert (got.status, got.body) == (200, FIRST)


async def test_without_a_strong_etag_of_the_upstream_the_bytes_give_one(
    backend: Upstream, quiet: Gateway
) -> None:
    backend.says(FIRST, ETag='W/"v1"')

    got = await quiet.get()

    etag = got.headers["ETag"]
    assert etag.startswith('"')
    assert etag != '"v1"'
    assert (await quiet.get(**{"If-None-Match": etag})).status == 304


async def test_head_gets_the_fields_of_get_and_no_body(backend: Upstream, quiet: Gateway) -> None:
    backend.says(FIRST, ETag='"v1"')
    full = await quiet.get()

    head = await quiet.request("HEAD", PATH)

    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(FIRST))
    assert {name: head.headers[name] for name in ("ETag", "Sync-Cursor", "Link")} == {
        name: full.headers[name] for name in ("ETag", "Sync-Cursor", "Link")
    }
    assert len(backend.asked) == 1


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1_000_000])
async def test_a_long_answer_is_served_as_a_short_one_is(
    backend: Upstream, quiet: Gateway, size: int
) -> None:
    body = FIRST + b" " * (size - len(FIRST))
    backend.says(body, ETag='"v1"', X_Total_Count="1")

    got, head = await quiet.get(), await quiet.request("HEAD", PATH)

    assert (got.status, got.body) == (200, body)
    assert got.headers["Content-Length"] == head.headers["Content-Length"] == str(size)
    assert (got.headers["ETag"], got.headers["X-Total-Count"]) == ('"v1"', "1")
    assert "Transfer-Encoding" not in got.headers
    assert (await quiet.get(**{"If-None-Match": '"v1"'})).status == 304


async def test_callers_that_do_not_read_keep_no_copy_of_the_answer(backend: Upstream, quiet: Gateway) -> None:
    callers, body = 8, FIRST + b" " * 12_000_000
    backend.says(body)
    await quiet.get()
    url = URL(quiet.url)
    tracemalloc.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(callers):
                reader, writer = await asyncio.open_connection(url.host, url.port, limit=4096)
                stack.callback(writer.close)
                writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
                assert (await reader.readline()).endswith(b" 200 OK\r\n")
            await let_others_run()
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    # What the system itself takes in is a few megabytes for each.
    assert peak < callers * len(body) / 8


async def test_a_caller_that_leaves_amid_a_long_answer_is_no_failure(
    backend: Upstream, quiet: Gateway
) -> None:
    backend.says(FIRST + b" " * 12_000_000)
    await quiet.get()
    url = URL(quiet.url)
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=4096)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
    await reader.readline()
    writer.transport.abort()

    assert (await quiet.get()).status == 200
    assert quiet.problems == {}


async def test_a_hundred_callers_at_once_cost_a_cold_upstream_one_request(
    backend: Upstream, quiet: Gateway
) -> None:
    gate = asyncio.Event()
    backend.answering = held_until(gate, FIRST)

    callers = [asyncio.create_task(quiet.get()) for _ in range(100)]
    await backend.was_asked(1)
    gate.set()
    answers = await asyncio.gather(*callers)

    assert {(got.status, got.body) for got in answers} == {(200, FIRST)}
    assert len(backend.asked) == 1
    counters = quiet.source.counters[PATH]
    assert (counters.served, counters.polls) == (100, 1)


async def test_callers_of_an_upstream_that_hangs_wait_for_the_one_request(
    backend: Upstream, clock: ManualClock
) -> None:
    backend.answering = held_until(asyncio.Event(), b"")
    async with in_front_of(backend.url, clock, interval_seconds=3600.0, timeout_seconds=1.0) as one:
        answers = await asyncio.gather(*(one.get() for _ in range(20)))

        assert {got.status for got in answers} == {504}
        assert len(backend.asked) == 1


async def test_a_caller_that_gives_up_takes_nothing_from_the_others(
    backend: Upstream, quiet: Gateway
) -> None:
    gate = asyncio.Event()
    backend.answering = held_until(gate, FIRST)
    impatient, patient = asyncio.create_task(quiet.get()), asyncio.create_task(quiet.get())
    await backend.was_asked(1)

    impatient.cancel()
    gate.set()

    assert (await patient).body == FIRST
    assert len(backend.asked) == 1


async def test_the_caller_own_credentials_do_not_reach_a_shared_upstream(
    backend: Upstream, quiet: Gateway
) -> None:
    backend.says(FIRST, Set_Cookie="session=secret")

    got = await quiet.get(Authorization="Bearer secret", Cookie="me=1")

    assert "Authorization" not in backend.asked[0].headers
    assert "Cookie" not in backend.asked[0].headers
    assert "Set-Cookie" not in got.headers


async def test_a_query_goes_through_and_leaves_the_snapshot_alone(backend: Upstream, quiet: Gateway) -> None:
    await quiet.get()
    backend.says(b'{"docs":[],"page":2}')

    paged = await quiet.request("GET", PATH + "?page=2&x=%2F")
    whole = await quiet.get()

    assert paged.body == b'{"docs":[],"page":2}'
    assert paged.cache_status == "tidegate; fwd=bypass"
    assert backend.asked[-1].target == "/orders?page=2&x=%2F"
    assert whole.body == b'{"docs":[]}'


async def test_a_read_with_a_body_goes_through(backend: Upstream, quiet: Gateway) -> None:
    """What it asks for stands in the body, if the upstream takes it at all (RFC 9110, section 9.3.1)."""
    await quiet.get()
    got = await quiet.request("GET", PATH, data=b'{"stage":"open"}')
    empty = await quiet.request("GET", PATH, data=b"")

    assert (got.cache_status, backend.asked[1].body) == ("tidegate; fwd=bypass", b'{"stage":"open"}')
    assert got.headers["Fetch-Mode"] == "streaming"
    assert empty.cache_status == "tidegate; hit"
    assert len(backend.asked) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"Range": "bytes=0-3"},
        {"If-Match": '"v0"'},
        {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"Cache-Control": "no-cache", "Pragma": "no-cache"},
        {"Cache-Control": "max-age=0"},
        {"Prefer": "return=minimal"},
    ],
)
async def test_what_a_cache_may_overlook_is_answered_whole(
    backend: Upstream, quiet: Gateway, fields: dict[str, str]
) -> None:
    """RFC 9110, sections 14.2 and 13.1; a poll an interval is as fresh as it gets for anybody."""
    backend.says(FIRST, ETag='"v1"')
    await quiet.get()
    got = await quiet.get(**fields)

    assert (got.status, got.body, got.cache_status) == (200, FIRST, "tidegate; hit")
    assert len(backend.asked) == 1


async def test_the_mode_of_the_component_is_asked_for_every_answer(
    backend: Upstream, clock: ManualClock
) -> None:
    modes = {"orders": "polling"}
    async with in_front_of(backend.url, clock, mode=modes.__getitem__, interval_seconds=3600.0) as one:
        await one.get()
        first = await one.get()
        modes["orders"] = "streaming"
        second = await one.get()

    assert [got.headers["Fetch-Mode"] for got in (first, second)] == ["polling", "streaming"]


async def test_an_upstream_that_is_down_is_bridged_by_the_snapshot_and_then_not(
    backend: Upstream, clock: ManualClock
) -> None:
    backend.says(FIRST)
    async with in_front_of(backend.url, clock, interval_seconds=0.02, stale_if_error_seconds=300.0) as one:
        await one.get()
        backend.says(b"oops", status=500)
        # The second of two answers that fail has been asked for: the first one is known to have failed.
        await backend.asked_again(2)

        clock.advance(300.0)
        stale = await one.get()
        clock.advance(0.5)
        gone = await one.get()

        assert (stale.status, stale.body) == (200, FIRST)
        assert stale.headers["Age"] == "300"
        assert stale.cache_status == "tidegate; hit; fwd=stale"
        assert (gone.status, gone.body) == (500, b"oops")
        assert gone.cache_status == "tidegate; fwd=miss"
        assert one.source.counters[PATH].served_stale == 1
        assert one.source.health()[0].state == "down"


async def test_an_upstream_that_came_back_is_served_again(backend: Upstream) -> None:
    backend.says(b"oops", status=503)
    async with in_front_of(
        backend.url, SystemClock(), wanted=lambda entity: True, interval_seconds=0.02
    ) as one:
        refused = await one.get()
        before = one.source.health()[0]
        backend.says(listed(order("A")))
        await backend.asked_again(2)
        served = await one.get()
        after = one.source.health()[0]

    assert (refused.status, served.status) == (503, 200)
    assert (before.connected, after.connected) == (False, True)
    assert before.last_error == "The upstream answered with status 503."
    assert after.last_error is None
    assert after.last_success is not None


async def test_callers_that_only_get_errors_cost_the_upstream_one_request_an_interval(
    backend: Upstream, quiet: Gateway, clock: ManualClock
) -> None:
    backend.says(b"oops", status=500)

    refused = [await quiet.get() for _ in range(5)]
    clock.advance(3600.0)
    refused.append(await quiet.get())

    assert {got.status for got in refused} == {500}
    assert len(backend.asked) == 2


async def test_a_route_that_nobody_wants_is_not_asked_and_not_down(backend: Upstream) -> None:
    async with in_front_of(backend.url, ManualClock(), interval_seconds=0.001) as one:
        one.source.wake()
        other = await one.request("GET", PATH + "/ORDER-1")

        health = one.source.health()[0]

    assert other.status == 200
    assert [asked.target for asked in backend.asked] == ["/orders/ORDER-1"]
    assert (health.state, health.connected, health.last_success) == ("idle", True, None)


async def test_a_poller_that_slept_asks_before_it_answers(backend: Upstream, clock: ManualClock) -> None:
    backend.says(listed(order("A")))
    asleep = asyncio.Event()

    def nobody_wants(entity: str) -> bool:
        asleep.set()
        return False

    async with in_front_of(backend.url, clock, wanted=nobody_wants, interval_seconds=0.02) as one:
        await one.get()
        asleep.clear()
        clock.advance(0.08)
        await asleep.wait()
        state = one.source.health()[0].state
        backend.says(listed(order("B")))

        got = await one.get()

    assert state == "idle"
    assert got.body == listed(order("B"))
    assert got.cache_status == "tidegate; fwd=miss"


async def test_a_caller_wakes_a_poller_also_where_its_last_answer_is_young(backend: Upstream) -> None:
    subscribed, asleep = True, asyncio.Event()

    def wanted(entity: str) -> bool:
        if not subscribed:
            asleep.set()
        return subscribed

    async with in_front_of(backend.url, ManualClock(), wanted=wanted, interval_seconds=0.02) as one:
        await backend.was_asked(2)
        subscribed = False
        await asleep.wait()
        got = await one.get()
        await backend.asked_again()

    assert got.cache_status == "tidegate; hit"


async def test_a_failure_that_took_long_is_seen_although_no_caller_came_meanwhile(
    backend: Upstream, quiet: Gateway, clock: ManualClock
) -> None:
    backend.says(FIRST)
    await quiet.get()
    gate = asyncio.Event()

    async def fails_late(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(status=500)

    backend.answering = fails_late
    poller = quiet.source.poller(quiet.route)
    assert poller is not None
    poller.written()
    waiting = asyncio.create_task(poller.answer())
    await backend.asked_again()
    clock.advance(4 * 3600.0)
    gate.set()

    with pytest.raises(UpstreamError):
        await waiting
    assert quiet.source.health()[0].state == "down"


async def test_close_answers_those_who_wait(backend: Upstream, quiet: Gateway) -> None:
    backend.answering = held_until(asyncio.Event(), b"")
    waiting = asyncio.create_task(quiet.get())
    await backend.was_asked(1)

    await quiet.source.close()
    await quiet.source.close()

    assert (await waiting).status == 502
    assert (await quiet.get()).status == 502


async def test_a_list_that_is_only_served_needs_neither_key_nor_items(backend: Upstream) -> None:
    backend.says(b'{"series": [1, 2, 3]}')
    async with in_front_of(
        backend.url, SystemClock(), events="none", key=(), items="", changes={}, interval_seconds=3600.0
    ) as one:
        for _ in range(2):
            got = await one.get()
            assert (got.status, got.body) == (200, b'{"series": [1, 2, 3]}')
        assert len(backend.asked) == 1
        assert "unusable" not in got.cache_status
