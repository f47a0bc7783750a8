"""What a poll publishes, and the cursor of the answer that it serves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web

from adapters.memory import MemoryLog
from adapters.upstream import UpstreamSource
from gateway.core.errors import LogError
from gateway.core.events import Event, Position
from gateway.ports.clock import SystemClock
from tests.support.clock import ManualClock
from tests.support.legacy import PATH, legacy_route, listed, order
from tests.support.upstream import (
    PATIENCE_SECONDS,
    Gateway,
    Upstream,
    in_front_of,
)

pytestmark = pytest.mark.usefixtures("way_in")


@pytest.fixture
async def polling(backend: Upstream) -> AsyncIterator[Gateway]:
    """A gateway that polls all the time, from when the upstream is told what to say."""

    async def once_told(request: web.Request) -> web.StreamResponse:
        while backend.answering is once_told:  # noqa: ASYNC110 - no event is set
            await asyncio.sleep(0.001)
        return await backend.answering(request)

    backend.answering = once_told
    async with in_front_of(
        backend.url, SystemClock(), wanted=lambda entity: entity == "order", interval_seconds=0.02
    ) as one:
        yield one


@pytest.fixture
async def asked_only(backend: Upstream) -> AsyncIterator[Gateway]:
    """A gateway that asks when a test writes, and otherwise after an hour."""
    async with in_front_of(backend.url, ManualClock(), interval_seconds=3600.0) as one:
        yield one


async def refreshed(one: Gateway) -> Any:
    """The answer after the upstream was asked again."""
    poller = one.source.poller(one.route)
    assert poller is not None
    poller.written()
    return await one.get()


def foreign(entity: str | None, key: str | None) -> Event:
    return Event("note", entity, key, "signal", "2026-11-20T10:30:00.123Z")


async def test_the_first_good_answer_is_the_base_and_publishes_nothing(asked_only: Gateway) -> None:
    await asked_only.get()

    assert await asked_only.events() == []


async def test_changes_are_published_as_they_happen(backend: Upstream, polling: Gateway) -> None:
    backend.says(listed(order("A", orderStage="open")))
    await backend.asked_again(2)
    backend.says(listed(order("A", orderStage="billed"), order("B")))
    events = await polling.next_events(2)
    backend.says(listed(order("B")))
    events = await polling.next_events(3)

    assert [(event.event_type, event.entity_id) for event in events] == [
        ("stage_change", "A"),
        ("order_created", "B"),
        ("order_deleted", "A"),
    ]


async def test_the_upstream_is_polled_only_once_somebody_wants_the_result(backend: Upstream) -> None:
    wanted = False
    async with in_front_of(
        backend.url, SystemClock(), wanted=lambda entity: wanted, interval_seconds=0.02
    ) as one:
        one.source.wake()
        await one.request("POST", PATH)
        asked_before = len(backend.asked)
        wanted = True
        one.source.wake()
        await backend.asked_again(2)

    assert asked_before == 1


async def test_the_next_poll_is_conditional_and_a_304_publishes_nothing(
    backend: Upstream, polling: Gateway
) -> None:
    backend.says(listed(order("A")), ETag='W/"v1"', Last_Modified="Fri, 20 Nov 2020 10:30:00 GMT")
    await backend.asked_again(3)

    last = backend.asked[-1].headers
    assert last["If-None-Match"] == 'W/"v1"'
    assert last["If-Modified-Since"] == "Fri, 20 Nov 2020 10:30:00 GMT"
    assert (await polling.get()).body == listed(order("A"))
    assert polling.source.counters[PATH].not_modified >= 1
    assert await polling.events() == []


async def test_a_304_makes_the_answer_young_again(backend: Upstream) -> None:
    clock = ManualClock()
    backend.says(listed(order("A")), ETag='"v1"')
    async with in_front_of(backend.url, clock, interval_seconds=3600.0) as one:
        await one.get()
        clock.advance(60.0)
        old = await one.get()
        young = await refreshed(one)

    assert (old.headers["Age"], young.headers["Age"]) == ("60", "0")


async def test_the_same_bytes_again_are_not_read_again(backend: Upstream, asked_only: Gateway) -> None:
    backend.says(listed(order("A")))
    await asked_only.get()

    await refreshed(asked_only)

    counters = asked_only.source.counters[PATH]
    assert (counters.polls, counters.unchanged, counters.changed) == (2, 1, 0)


async def test_after_a_change_the_cursor_is_that_of_its_last_event(
    backend: Upstream, asked_only: Gateway
) -> None:
    backend.says(listed(order("A")))
    await asked_only.get()
    backend.says(listed(order("B"), order("C")))

    got = await refreshed(asked_only)

    assert len(await asked_only.events()) == 3
    assert await asked_only.events_after(got.headers["Sync-Cursor"]) == []


async def test_a_stream_from_the_cursor_gets_what_changed_after_the_answer(
    backend: Upstream, asked_only: Gateway
) -> None:
    backend.says(listed(order("A")))
    cursor = (await asked_only.get()).headers["Sync-Cursor"]
    backend.says(listed(order("A"), order("B")))
    await refreshed(asked_only)

    assert [event.entity_id for event in await asked_only.events_after(cursor)] == ["B"]


async def test_without_a_change_the_cursor_moves_to_the_head_before_the_upstream_was_asked(
    backend: Upstream, asked_only: Gateway
) -> None:
    await asked_only.get()
    await asked_only.log.append([foreign("job", "1"), foreign("job", "2")])

    got = await refreshed(asked_only)

    assert await asked_only.events_after(got.headers["Sync-Cursor"]) == []


@pytest.mark.parametrize("changes", [False, True])
async def test_what_others_publish_of_the_entity_while_the_upstream_answers_is_not_missed(
    backend: Upstream, asked_only: Gateway, changes: bool
) -> None:
    await asked_only.get()
    await publish_while_answering(backend, asked_only, foreign("order", "X"), changes)

    got = await refreshed(asked_only)

    after = await asked_only.events_after(got.headers["Sync-Cursor"])
    assert after[0].entity_id == "X"


async def test_what_others_publish_of_other_entities_does_not_make_the_stream_repeat(
    backend: Upstream, asked_only: Gateway
) -> None:
    await asked_only.get()
    await publish_while_answering(backend, asked_only, foreign("job", "X"), changes=True)

    got = await refreshed(asked_only)

    assert len(await asked_only.events()) == 2
    assert await asked_only.events_after(got.headers["Sync-Cursor"]) == []


async def publish_while_answering(backend: Upstream, one: Gateway, event: Event, changes: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        await one.log.append([event])
        return web.Response(body=listed(order("A")) if changes else b'{"docs":[]}')

    backend.answering = answer


async def test_an_external_route_publishes_nothing_and_its_cursor_is_from_before_it_asked(
    backend: Upstream,
) -> None:
    async with in_front_of(backend.url, ManualClock(), interval_seconds=3600.0, events="external") as one:
        await one.get()
        await one.log.append([foreign("order", "before")])
        await publish_while_answering(backend, one, foreign("order", "meanwhile"), changes=True)

        got = await refreshed(one)

        assert got.body == listed(order("A"))
        assert [event.entity_id for event in await one.events()] == ["before", "meanwhile"]
        after = await one.events_after(got.headers["Sync-Cursor"])
    assert [event.entity_id for event in after] == ["meanwhile"]


async def test_half_of_the_items_gone_at_once_is_held_until_the_next_poll_confirms_it(
    backend: Upstream, asked_only: Gateway
) -> None:
    twelve = listed(*(order(number) for number in range(12)))
    backend.says(twelve)
    await asked_only.get()
    backend.says(listed())

    held = await refreshed(asked_only)
    published_while_held = await asked_only.events()
    confirmed = await refreshed(asked_only)

    assert held.body == twelve
    assert held.cache_status == "tidegate; hit; fwd=stale"
    assert published_while_held == []
    assert confirmed.body == listed()
    assert [event.event_type for event in await asked_only.events()] == ["order_deleted"] * 12
    assert asked_only.source.counters[PATH].held == 1


async def test_items_that_come_back_were_never_deleted(backend: Upstream, asked_only: Gateway) -> None:
    twelve = listed(*(order(number) for number in range(12)))
    backend.says(twelve)
    await asked_only.get()
    backend.says(listed())
    await refreshed(asked_only)
    backend.says(twelve)

    got = await refreshed(asked_only)

    assert got.cache_status == "tidegate; fwd=miss"
    assert await asked_only.events() == []


async def test_other_deletions_than_those_held_do_not_confirm_them(
    backend: Upstream, asked_only: Gateway
) -> None:
    backend.says(listed(*(order(number) for number in range(12))))
    await asked_only.get()
    backend.says(listed(*(order(number) for number in range(4))))
    await refreshed(asked_only)
    backend.says(listed(*(order(number) for number in range(8, 12))))

    await refreshed(asked_only)

    assert await asked_only.events() == []
    assert asked_only.source.counters[PATH].held == 2


async def test_a_poll_that_lacks_still_more_confirms_what_was_held(
    backend: Upstream, asked_only: Gateway
) -> None:
    backend.says(listed(*(order(number) for number in range(12))))
    await asked_only.get()
    backend.says(listed(*(order(number) for number in range(4))))
    await refreshed(asked_only)
    backend.says(listed(*(order(number) for number in range(2))))

    await refreshed(asked_only)

    assert len(await asked_only.events()) == 10


@pytest.mark.parametrize("confirmed", [False, True])
async def test_what_was_held_once_is_held_again_when_it_goes_again(
    backend: Upstream, asked_only: Gateway, confirmed: bool
) -> None:
    twelve = listed(*(order(number) for number in range(12)))
    backend.says(twelve)
    await asked_only.get()
    backend.says(listed())
    await refreshed(asked_only)
    if confirmed:
        await refreshed(asked_only)
    backend.says(twelve)
    await refreshed(asked_only)
    backend.says(listed())

    held = await refreshed(asked_only)

    assert held.body == twelve
    assert asked_only.source.counters[PATH].held == 2


async def test_a_few_items_may_go_at_once(backend: Upstream, asked_only: Gateway) -> None:
    backend.says(listed(*(order(number) for number in range(9))))
    await asked_only.get()
    backend.says(listed())

    await refreshed(asked_only)

    assert len(await asked_only.events()) == 9


async def test_an_etag_that_stands_for_two_answers_is_replaced(
    backend: Upstream, asked_only: Gateway
) -> None:
    async def careless(request: web.Request) -> web.StreamResponse:
        return web.Response(body=listed(order(len(backend.asked))), headers={"ETag": '"same"'})

    backend.answering = careless
    first = await asked_only.get()

    second = await refreshed(asked_only)
    third = await refreshed(asked_only)

    assert len({got.headers["ETag"] for got in (first, second, third)}) == 3
    assert "If-None-Match" not in backend.asked[-1].headers
    assert asked_only.source.counters[PATH].etags_reused == 1


async def test_events_over_the_limit_are_published_with_less_and_counted(backend: Upstream) -> None:
    async with in_front_of(backend.url, ManualClock(), interval_seconds=3600.0, max_event_bytes=500) as one:
        await one.get()
        backend.says(listed(order("A", note="x" * 500)))
        await refreshed(one)

        (event,) = await one.events()
        counters = one.source.counters[PATH]

    assert (event.entity_id, event.data, event.metadata) == ("A", None, {"omitted": ["data"]})
    assert (counters.events, counters.oversized_events) == (1, 1)


async def test_a_large_answer_is_compared_like_a_small_one(backend: Upstream, asked_only: Gateway) -> None:
    many = [order(number, note="x" * 100) for number in range(3000)]
    backend.says(listed(*many))
    await asked_only.get()
    backend.says(listed(*many[1:], order("new")))

    got = await refreshed(asked_only)

    assert [event.entity_id for event in await asked_only.events()] == ["0", "new"]
    assert await asked_only.events_after(got.headers["Sync-Cursor"]) == []


async def test_thousands_of_changes_at_once_are_all_before_the_cursor(
    backend: Upstream, asked_only: Gateway
) -> None:
    await asked_only.get()
    backend.says(listed(*(order(number) for number in range(2500))))

    got = await refreshed(asked_only)

    assert len(await asked_only.events()) == 2500
    assert await asked_only.events_after(got.headers["Sync-Cursor"]) == []


class FailingLog(MemoryLog):
    """A memory log that is out of reach for so many appends."""

    failing = 0

    async def append(self, events: Sequence[Event]) -> list[Position]:
        if self.failing:
            self.failing -= 1
            raise LogError("The log is out of reach.")
        return await super().append(events)


async def test_what_the_log_did_not_take_is_published_by_the_next_poll(backend: Upstream) -> None:
    clock = SystemClock()
    log = FailingLog(clock, max_events=100, max_age_seconds=1e9, max_bytes=2**20)
    route = legacy_route(upstream=backend.url, interval_seconds=0.02)
    source = UpstreamSource([route], log, lambda entity: True, clock)
    poller = source.poller(route)
    assert poller is not None
    backend.says(listed(order("A")))
    await source.start()
    try:
        base = await poller.answer()
        log.failing = 1
        backend.says(listed(order("A"), order("B")))
        while not await log.read(Position(0, 0), 10):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await backend.asked_again()
        (record,) = await log.read(Position(0, 0), 10)
        await backend.asked_again(2)
    finally:
        await source.close()

    assert base.snapshot.body == listed(order("A"))
    assert record.event.entity_id == "B"
    assert source.counters[PATH].failures == {"log": 1}
    assert len(await log.read(Position(0, 0), 10)) == 1


class FaultyLog(MemoryLog):
    """A memory log with a fault: its first question of bounds fails in a way that nobody expects."""

    faulty = True

    async def bounds(self) -> Any:
        if self.faulty:
            self.faulty = False
            raise RuntimeError("a fault")
        return await super().bounds()


async def test_a_poller_that_crashed_is_started_again_and_counted(backend: Upstream) -> None:
    clock = SystemClock()
    log = FaultyLog(clock, max_events=100, max_age_seconds=1e9, max_bytes=2**20)
    route = legacy_route(upstream=backend.url, interval_seconds=0.02)
    source = UpstreamSource([route], log, lambda entity: True, clock)
    await source.start()
    try:
        await backend.was_asked(2)
    finally:
        await source.close()

    assert source.counters[PATH].crashes == 1


def test_two_routes_with_one_path_are_refused() -> None:
    clock = ManualClock()
    log = MemoryLog(clock, max_events=100, max_age_seconds=1e9, max_bytes=2**20)

    with pytest.raises(ValueError, match="same path"):
        UpstreamSource([legacy_route(), legacy_route()], log, lambda entity: False, clock)


def test_two_routes_that_make_events_of_one_entity_type_are_refused() -> None:
    clock = ManualClock()
    log = MemoryLog(clock, max_events=100, max_age_seconds=1e9, max_bytes=2**20)

    routes = [legacy_route(), legacy_route(path="/api/v1/closed")]
    with pytest.raises(ValueError, match=r'make events of one entity type.*also.*events = "none"'):
        UpstreamSource(routes, log, lambda entity: False, clock)
    routes = [legacy_route(), legacy_route(path="/api/v1/closed", events="none")]
    UpstreamSource(routes, log, lambda entity: False, clock)
