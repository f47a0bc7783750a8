"""Writes, bodies and failures on the way through to the upstream."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.support.clock import ManualClock
from tests.support.legacy import PATH, listed, order
from tests.support.upstream import (
    NOW,
    PATIENCE_SECONDS,
    Gateway,
    Upstream,
    held_until,
    in_front_of,
    listening,
    plain,
    raw_upstream,
    upstream,
)

pytestmark = pytest.mark.usefixtures("way_in")


async def test_a_write_has_a_connection_of_its_own(backend: Upstream, shared: Gateway) -> None:
    """On a kept one, the upstream's closing it could not be told from its failing at the write."""
    await shared.request("GET", PATH + "/A")
    await shared.request("POST", PATH)

    read, write = backend.asked
    assert "Connection" not in read.headers
    assert write.headers["Connection"] == "close"


async def test_a_write_that_succeeded_is_in_the_very_next_answer(backend: Upstream, shared: Gateway) -> None:
    backend.says(listed(order("A")))
    await shared.get()

    backend.answering = plain(b"", status=201)
    await shared.request("POST", PATH, data=b"{}")
    backend.says(listed(order("A"), order("B")))
    got = await shared.get()

    assert got.body == listed(order("A"), order("B"))
    assert [event.entity_id for event in await shared.events()] == ["B"]


async def test_requests_that_only_read_cost_no_poll_whatever_their_method(
    backend: Upstream, clock: ManualClock
) -> None:
    reads = (f"POST {PATH}/search", f"POST {PATH}/*/quote")
    async with in_front_of(
        backend.url, clock, interval_seconds=3600.0, write_poll_seconds=0.0, reads=reads
    ) as one:
        await one.get()
        for number in range(20):
            await one.request("POST", f"{PATH}/search?n={number}", data=b'{"stage":"open"}')
            await one.request("POST", f"{PATH}/{number}/quote")
            await one.request("PROPFIND", PATH)
            assert (await one.get()).cache_status == "tidegate; hit"
        assert one.source.counters[PATH].polls == 1

        await one.request("POST", f"{PATH}/search/all")
        await one.get()
        assert one.source.counters[PATH].polls == 2


async def test_a_reading_request_whose_answer_got_lost_costs_no_poll() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    async with (
        raw_upstream(head + listed(order("A")), b"") as (url, heads),
        in_front_of(url, ManualClock(), interval_seconds=3600.0, reads=(f"POST {PATH}",)) as one,
    ):
        await one.get()
        lost = await one.request("POST", PATH)
        got = await one.get()

    assert (lost.status, got.cache_status) == (502, "tidegate; hit")
    assert len(heads) == 2


async def test_many_writes_bring_one_poll_an_interval_and_readers_go_through_meanwhile(
    backend: Upstream, clock: ManualClock
) -> None:
    async with in_front_of(backend.url, clock, interval_seconds=3600.0, write_poll_seconds=None) as one:
        await one.get()
        await one.request("POST", PATH)
        await one.get()
        for number in range(20):
            await one.request("PUT", PATH + "/A")
            backend.says(listed(order(number)), ETag=f'"{number}"', Link="</page/2>; rel=next")
            got = await one.get(**{"If-None-Match": '"-1"'})

            assert (got.status, got.body) == (200, listed(order(number)))
            assert got.cache_status == "tidegate; fwd=stale"
            assert got.headers["Fetch-Mode"] == "streaming"
            assert got.headers.getall("Link") == [
                f'</api/v1/sync/events?entity=order&lastEventId={NOW}>; rel="alternate";'
                ' type="text/event-stream"',
                "</page/2>; rel=next",
            ]
        counters = one.source.counters[PATH]
        assert (counters.polls, counters.served) == (2, 2)

        clock.advance(3600.0)
        later = await one.get()
        await one.request("POST", PATH)
        after = await one.get()

    assert (later.body, later.cache_status) == (listed(order(19)), "tidegate; fwd=miss")
    assert after.cache_status == "tidegate; fwd=stale"
    assert counters.polls == 3


async def test_a_write_below_the_path_triggers_a_poll_that_nobody_had_to_ask_for(
    backend: Upstream, shared: Gateway
) -> None:
    backend.says(listed(order("A")))
    await shared.get()
    backend.says(listed(order("A", orderStage="paid")))

    await shared.request("PUT", PATH + "/A", data=b"{}")

    (event,) = await shared.next_events(1)
    assert event.event_type == "stage_change"


async def test_an_answer_asked_for_before_a_write_is_not_the_answer_after_it(
    backend: Upstream, shared: Gateway
) -> None:
    await shared.get()
    gate = asyncio.Event()
    backend.answering = held_until(gate, listed(order("old")))
    poller = shared.source.poller(shared.route)
    assert poller is not None
    poller.written()
    await backend.asked_again()

    backend.says(listed(order("new")))
    await shared.request("POST", PATH)
    asking = asyncio.create_task(poller.answer())
    await asyncio.sleep(0)
    gate.set()

    assert (await asking).snapshot.body == listed(order("new"))


@pytest.mark.parametrize("status", [400, 409, 500])
async def test_a_write_that_was_refused_triggers_nothing(
    backend: Upstream, shared: Gateway, status: int
) -> None:
    await shared.get()
    backend.says(b"no", status=status)

    await shared.request("POST", PATH)
    got = await shared.get()

    assert got.cache_status == "tidegate; hit"
    assert [asked.method for asked in backend.asked] == ["GET", "POST"]


async def test_a_write_before_anybody_asked_leaves_the_upstream_alone(
    backend: Upstream, shared: Gateway
) -> None:
    await shared.request("POST", PATH)
    await shared.request("POST", PATH)

    assert [asked.method for asked in backend.asked] == ["POST", "POST"]


async def test_a_write_whose_answer_got_lost_triggers_a_poll() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    first, second = listed(order("A")), listed(order("A"), order("B"))
    async with (
        raw_upstream(head + first, b"", head + second) as (url, heads),
        in_front_of(url, ManualClock(), interval_seconds=3600.0) as one,
    ):
        await one.get()
        lost = await one.request("POST", PATH)
        got = await one.get()

    assert lost.status == 502
    assert got.body == second
    assert [line.split()[0] for line in heads] == [b"GET", b"POST", b"GET"]


async def test_a_body_is_streamed_in_both_directions(backend: Upstream, shared: Gateway) -> None:
    """The upstream answers to each part of the body before the caller sends the next."""

    async def echo(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        async for chunk in request.content.iter_any():
            await answer.write(chunk)
        return answer

    app = web.Application()
    app.router.add_post("/orders", echo)

    parts: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while part := await parts.get():
            yield part

    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        listening(app) as url,
        in_front_of(url + "/orders", ManualClock()) as one,
    ):
        parts.put_nowait(b"one")
        async with one.client.post(one.url + PATH, data=body()) as answer:
            assert await answer.content.readany() == b"one"
            parts.put_nowait(b"two")
            assert await answer.content.readany() == b"two"
            parts.put_nowait(b"")
            assert await answer.content.read() == b""


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(backend: Upstream, shared: Gateway, chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(101):
            yield bytes(1000)

    got = await shared.request("POST", PATH, data=parts() if chunked else bytes(100_001))

    assert got.status == 413
    assert json.loads(got.body)["detail"] == "A body may have 100000 bytes here."
    assert backend.asked == []


async def test_a_body_of_exactly_the_limit_goes_through(backend: Upstream, shared: Gateway) -> None:
    await shared.request("POST", PATH, data=bytes(100_000))

    assert len(backend.asked[0].body) == 100_000


async def test_a_body_that_stops_coming_is_a_408(backend: Upstream) -> None:
    async with in_front_of(backend.url, ManualClock(), timeout_seconds=0.2) as one:
        reader, writer = await connect(one)
        writer.write(b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        async with asyncio.timeout(PATIENCE_SECONDS):
            status = await reader.readline()
        writer.close()

    assert status.startswith(b"HTTP/1.1 408 ")
    assert backend.asked == []


async def connect(one: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = one.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_expect_is_answered_here(backend: Upstream, shared: Gateway) -> None:
    got = await shared.request("POST", PATH, data=b"{}", expect100=True)

    assert got.status == 200
    assert "Expect" not in backend.asked[0].headers


async def test_a_caller_that_goes_away_ends_the_upstreams_work() -> None:
    async with (
        upstream(half_closed_seconds=0.01) as backend,
        in_front_of(backend.url, ManualClock(), half_closed_seconds=0.01) as one,
    ):
        backend.answering = held_until(asyncio.Event(), b"")
        asking = asyncio.create_task(one.request("GET", PATH + "/slow"))
        await backend.was_asked(1)

        asking.cancel()

        async with asyncio.timeout(PATIENCE_SECONDS):
            await backend.cancelled.wait()
        assert one.source.counters[PATH].forward_failures == 1


async def test_a_caller_that_goes_away_amid_the_answer_ends_the_upstreams_work(
    backend: Upstream, shared: Gateway
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(bytes(10_000))
        except (ConnectionError, asyncio.CancelledError):
            backend.cancelled.set()
            raise

    backend.answering = endless
    async with shared.client.get(shared.url + PATH + "/endless") as answer:
        await answer.content.readany()
        answer.close()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await backend.cancelled.wait()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_upstream_that_is_gone_is_a_502(refusing: str, method: str) -> None:
    async with in_front_of(refusing, ManualClock()) as one:
        got = await one.request(method, PATH + "/A")

        assert got.status == 502
        assert got.headers["Content-Type"] == "application/problem+json"
        assert one.source.counters[PATH].forward_failures == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_upstream_that_is_silent_is_a_504(method: str) -> None:
    async with (
        raw_upstream(b"", silent=True) as (url, _),
        in_front_of(url, ManualClock(), timeout_seconds=0.2) as one,
    ):
        got = await one.request(method, PATH + "/A", data=b"{}")

    assert got.status == 504


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_broken_off_for_the_caller_too(answer: bytes) -> None:
    async with raw_upstream(answer) as (url, _), in_front_of(url, ManualClock()) as one:
        with pytest.raises(aiohttp.ClientError):
            await one.request("GET", PATH + "/A")

        assert one.source.counters[PATH].broken_off == 1


async def test_an_upstream_that_switches_protocols_is_a_502() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    async with raw_upstream(answer) as (url, _), in_front_of(url, ManualClock()) as one:
        assert (await one.request("GET", PATH + "/A")).status == 502


async def test_connect_reaches_no_upstream(backend: Upstream, shared: Gateway) -> None:
    reader, writer = await connect(shared)
    writer.write(b"CONNECT /api/v1/orders HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        status = await reader.readline()
    writer.close()

    assert status.startswith(b"HTTP/1.1 404 ")
    assert backend.asked == []
