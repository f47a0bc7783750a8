"""What a tracker asks, publishes and keeps."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from cachetools import LRUCache
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.memory import MemoryLog
from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.reading.event_batches import BATCH_BYTES, BATCH_EVENTS
from adapters.upstream.reading.items import Items
from adapters.upstream.tracker import Tracker
from gateway.core.errors import EpochChanged, LogError
from gateway.core.events import ORIGIN, Cursor, Event, Position, Record
from gateway.ports.legacy_route import Pages
from gateway.ports.log import Appended, Bounds
from gateway.ports.route_counters import RouteCounters
from gateway.runtime.slices import SLICE_SECONDS, Slices
from tests.support.clock import BusyClock, ManualClock
from tests.support.followed import Followed, Log
from tests.support.legacy import legacy_route, listed, order
from tests.support.loop import until

ANSWER_SECONDS = 0.25
STEPS_A_SLICE = 10


async def asked(clock: ManualClock, cache_bytes: int) -> Tracker:
    """A tracker that has asked once; the upstream took ANSWER_SECONDS to list A and B."""

    async def fetch(validators: object) -> Fetched:
        clock.advance(ANSWER_SECONDS)
        headers = CIMultiDictProxy[str](CIMultiDict())
        return Fetched(headers, listed(order("A"), order("B")))

    log = MemoryLog(clock, max_events=10, max_age_seconds=1e9, max_bytes=10**6)
    await log.start()
    cache: LRUCache[tuple[str, str], Items] = LRUCache(cache_bytes, getsizeof=lambda items: 100)
    tracker = Tracker(legacy_route(), log, fetch, clock, cache, RouteCounters(), Slices(clock))
    assert await tracker.poll()
    return tracker


async def test_an_answer_says_when_it_was_asked_for_and_when_it_came(clock: ManualClock) -> None:
    began = clock.monotonic()
    snapshot = (await asked(clock, cache_bytes=1000)).snapshot
    assert snapshot is not None
    assert (snapshot.asked_at, snapshot.received_at) == (began, began + ANSWER_SECONDS)


async def test_the_items_of_an_answer_are_those_that_are_remembered(clock: ManualClock) -> None:
    tracker = await asked(clock, cache_bytes=1000)
    assert tracker.snapshot is not None
    items = await tracker.items_of(tracker.snapshot)
    assert items is await tracker.items_of(tracker.snapshot)
    assert list(items) == ["A", "B"]


async def test_the_items_of_an_answer_that_nobody_remembers_are_read_again(clock: ManualClock) -> None:
    tracker = await asked(clock, cache_bytes=10)
    assert tracker.snapshot is not None
    items = await tracker.items_of(tracker.snapshot)
    assert items is not await tracker.items_of(tracker.snapshot)
    assert items == {"A": b'{"orderID":"A"}', "B": b'{"orderID":"B"}'}


@pytest.mark.parametrize(("events", "remembered"), [("poll", 1), ("external", 3)])
async def test_the_items_of_an_answer_that_is_over_are_kept_only_where_somebody_may_ask(
    clock: ManualClock, events: str, remembered: int
) -> None:
    one = Followed(clock, events=events)
    for number in range(3):
        await one.says(listed(order(number)))
    assert len(one.items) == remembered


async def turns_during(work: "asyncio.Task[bool]") -> int:
    """How often the loop came round to others before the work was done."""
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    await work
    return turns


@pytest.mark.parametrize("changed", [0, 1, 400])
async def test_a_long_list_is_read_compared_and_published_in_slices(changed: int) -> None:
    one = Followed(BusyClock(SLICE_SECONDS / STEPS_A_SLICE))
    old = [order(number) for number in range(400)]
    new = [order(number, note="x") for number in range(changed)] + old[changed:]
    one.body = listed(*old)
    first = await turns_during(asyncio.create_task(one.tracker.poll()))
    # Spaces make other bytes of the same items: nothing changed, and all has to be looked at.
    one.body = listed(*new) + b" "
    second = await turns_during(asyncio.create_task(one.tracker.poll()))

    assert len(await one.log.held()) == changed
    # Each item is read, put into the index, compared and told of: a step each.
    assert first >= 2 * 400 // (STEPS_A_SLICE + 2)
    assert second >= 4 * 400 // (STEPS_A_SLICE + 2)


async def test_many_events_are_appended_in_batches(clock: ManualClock) -> None:
    one = Followed(clock)
    await one.says(listed())
    await one.says(listed(*(order(number) for number in range(2 * BATCH_EVENTS + 1))))

    assert [len(batch) for batch in one.log.batches] == [BATCH_EVENTS, BATCH_EVENTS, 1]
    assert one.counters.events == 2 * BATCH_EVENTS + 1
    assert await one.after_its_cursor() == []


async def test_large_events_are_appended_in_batches_of_some_bytes(clock: ManualClock) -> None:
    one = Followed(clock)
    await one.says(listed())
    await one.says(listed(*(order(number, note="x" * (BATCH_BYTES // 8)) for number in range(20))))

    assert [len(batch) for batch in one.log.batches] == [8, 8, 4]


async def test_the_cursor_follows_its_own_events_beyond_what_the_log_holds(clock: ManualClock) -> None:
    one = Followed(clock, batch_events=100)
    one.log = Log(clock, max_events=150)
    one.tracker._events_log = one.log
    await one.says(listed())
    await one.says(listed(*(order(number) for number in range(1000))))

    assert await one.after_its_cursor() == []


async def test_what_a_log_shows_late_was_published_all_the_same(clock: ManualClock) -> None:
    """As Postgres does while an older transaction is open."""
    one = Followed(clock, batch_events=1)
    await one.says(listed())
    read, blind = one.log.read, 2

    async def late(after: Position, limit: int) -> list[Record]:
        return [] if len(one.log.batches) <= blind else await read(after, limit)

    one.log.read = late  # type: ignore[method-assign]
    await one.says(listed(order("A"), order("B"), order("C")))

    assert await one.after_its_cursor() == []


@pytest.mark.parametrize("fails_at", [0, 1, 2])
async def test_what_is_left_of_a_change_is_published_before_anything_else(
    clock: ManualClock, fails_at: int
) -> None:
    one = Followed(clock, batch_events=1)
    await one.says(listed(order("A"), order("B")))
    one.log.fails_at = fails_at
    with pytest.raises(LogError):
        await one.says(listed(order("C"), order("D")))
    for _ in range(2):
        await one.says(listed(order("D"), order("E")))

    created, deleted = "order_created", "order_deleted"
    first = [(deleted, "A"), (deleted, "B"), (created, "C"), (created, "D"), (deleted, "C"), (created, "E")]
    # Of a change of which nothing was published, the next answer says all that matters.
    never = [(deleted, "A"), (deleted, "B"), (created, "D"), (created, "E")]
    assert await one.log.held() == (first if fails_at else never)
    assert await one.after_its_cursor() == []


async def test_a_change_that_was_published_whole_is_not_published_again_after_a_cancellation(
    clock: ManualClock,
) -> None:
    one = Followed(clock)
    await one.says(listed())
    read = one.log.read

    async def never(after: Position, limit: int) -> list[Record]:
        await asyncio.Event().wait()
        raise AssertionError

    one.log.read = never  # type: ignore[method-assign]
    one.body = listed(order("A"))
    task = asyncio.create_task(one.tracker.poll())
    await until(lambda: bool(one.log.batches), "the change was appended")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    one.log.read = read  # type: ignore[method-assign]
    await one.says(listed(order("A"), order("B")))

    assert await one.log.held() == [("order_created", "A"), ("order_created", "B")]


async def test_others_events_between_two_batches_come_after_the_cursor(clock: ManualClock) -> None:
    one = Followed(clock, batch_events=1)
    await one.says(listed())
    foreign = Event("note", "order", "X", "signal", "2026-11-20T10:30:00.123Z")
    append = one.log.append

    async def beside(events: Sequence[Event]) -> Appended:
        appended = await append(events)
        if len(one.log.batches) == 1:
            await append([foreign])
        return appended

    one.log.append = beside  # type: ignore[method-assign]
    await one.says(listed(order("A"), order("B")))

    assert [record.event.entity_id for record in await one.after_its_cursor()] == ["X", "B"]


@pytest.mark.parametrize("when", ["while it answers", "before it is published"])
@pytest.mark.parametrize("changes", [False, True])
async def test_where_the_log_starts_over_the_upstream_is_asked_once_more(
    clock: ManualClock, when: str, changes: bool
) -> None:
    one = Followed(clock)
    await one.says(listed())
    polls = one.counters.polls

    def once() -> None:
        one.meanwhile = one.log.before_append = lambda: None
        one.log.start_over()

    if when == "while it answers":
        one.meanwhile = once
    else:
        one.log.before_append = once
    await one.says(listed(order("A")) if changes else listed())

    started_over = changes or when == "while it answers"
    assert one.counters.polls == polls + 1 + started_over
    assert await one.log.held() == ([("order_created", "A")] if changes else [])
    assert await one.after_its_cursor() == []


async def test_a_cursor_is_of_one_history_also_where_the_log_starts_over_while_it_is_taken(
    clock: ManualClock,
) -> None:
    one = Followed(clock)
    await one.log.append([Event("note", None, None, "signal", "2026-11-20T10:30:00.123Z")])
    bounds = one.log.bounds

    async def starts_over() -> Bounds:
        one.log.bounds = bounds  # type: ignore[method-assign]
        found = await bounds()
        one.log.start_over()
        return found

    one.log.bounds = starts_over  # type: ignore[method-assign]
    await one.says(listed())

    assert one.tracker.snapshot is not None
    assert one.tracker.snapshot.cursor == str(Cursor(one.log.epoch, ORIGIN))
    assert one.counters.polls == 1


async def test_a_log_that_can_not_be_read_keeps_the_cursor_back(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    one = Followed(clock, batch_events=1)
    await one.says(listed())

    async def fails(after: Position, limit: int) -> list[Record]:
        raise EpochChanged("The log has started over.")

    read, one.log.read = one.log.read, fails  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        await one.says(listed(order("A"), order("B")))
    one.log.read = read  # type: ignore[method-assign]

    told = [record.getMessage() for record in caplog.records if record.name.startswith("adapters")]
    assert told == ["upstream_cursor_kept_back"]
    assert [record.event.entity_id for record in await one.after_its_cursor()] == ["A", "B"]


@pytest.mark.parametrize("came_back", [True, False])
async def test_what_was_held_is_forgotten_where_the_next_answer_is_whole(
    clock: ManualClock, came_back: bool
) -> None:
    whole = listed(*(order(number) for number in range(12)))
    one = Followed(clock, max_delete_ratio=0.5)
    await one.says(whole)
    await one.says(listed())
    await one.says(whole if came_back else None)
    await one.says(listed())
    assert (one.counters.held, await one.log.held()) == (2, [])

    await one.says(listed())
    assert len(await one.log.held()) == 12


async def test_a_snapshot_that_another_tracker_took_is_no_ground_to_confirm_what_was_held(
    clock: ManualClock,
) -> None:
    one = Followed(clock, max_delete_ratio=0.5)
    await one.says(listed(*(order(number) for number in range(12))))
    await one.says(listed())
    one.tracker.adopt(one.tracker.snapshot)
    await one.says(listed())

    assert (one.counters.held, await one.log.held()) == (2, [])


async def test_what_is_held_is_not_confirmed_by_asking_again_for_a_new_history(clock: ManualClock) -> None:
    one = Followed(clock, max_delete_ratio=0.5)
    await one.says(listed(*(order(number) for number in range(12))))
    one.meanwhile = one.log.start_over
    await one.says(listed())

    assert (one.counters.held, await one.log.held()) == (1, [])


async def test_a_position_of_a_history_that_is_over_is_not_looked_for_in_the_next(
    clock: ManualClock,
) -> None:
    one = Followed(clock)
    await one.says(listed())
    append, read = one.log.append, one.log.read

    async def never(after: Position, limit: int) -> list[Record]:
        raise AssertionError("the position means nothing there")

    def again() -> None:
        one.log.read = read  # type: ignore[method-assign]

    async def over_after(events: Sequence[Event]) -> Appended:
        appended = await append(events)
        one.log.start_over()
        one.log.read = never  # type: ignore[method-assign]
        one.meanwhile = again
        return appended

    one.log.append = over_after  # type: ignore[method-assign]
    await one.says(listed(order("A")))

    assert await one.after_its_cursor() == []
    assert one.counters.events == 1


async def test_what_a_list_in_parts_lacks_is_told_once_a_second_reading_lacks_it_too(
    clock: ManualClock,
) -> None:
    one = Followed(clock, pages=Pages(link=True))
    await one.says(listed(order("A"), order("B")), listed(order("C")))
    # A is deleted between the two requests, so that C has moved to the first page when the second comes.
    readings = [(listed(order("A"), order("B")), listed()), (listed(order("B"), order("C")), listed())]

    def next_reading() -> None:
        if readings:
            one.body, *more = readings.pop(0)
            one.more = tuple(more)

    one.meanwhile = next_reading
    assert await one.tracker.poll()

    assert await one.log.held() == [("order_deleted", "A")]
    assert (len(one.asked_with), one.counters.held) == (4, 0)


async def test_a_list_in_parts_that_lacks_something_else_each_time_is_held(clock: ManualClock) -> None:
    one = Followed(clock, also=("/closed",))
    await one.says(listed(*(order(number) for number in range(3))))
    last = iter(range(3))
    one.meanwhile = lambda: setattr(one, "body", listed(order(next(last))))
    assert not await one.tracker.poll()

    assert await one.log.held() == []
