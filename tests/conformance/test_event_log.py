"""What every EventLog promises (gateway/ports/log.py), whatever it keeps its events in."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from gateway.core.errors import IdempotencyConflict, LogError, TrimmedError, UnknownPosition
from gateway.core.events import Event, Position, Record
from gateway.ports.log import Appended, EventLog
from tests.conformance.logs import LOGS, LogFactory
from tests.support.events import an_event, unset_members
from tests.support.loop import let_others_run

DEADLINE_SECONDS = 60.0
"""When a tail that gives nothing has failed; nothing waits for it otherwise."""
MAX_ROUNDS = 200
"""A log that trims lazily has trimmed after that many times what it may hold."""

MakeLog = Callable[[int], Awaitable[EventLog]]

AWKWARD_TEXT = "a\nb\r\nc\0d\u2028e\U0001f600f\ufefe\"'\\"
EVENTS = [
    an_event(None, "global"),
    an_event("order:1", data={"n": 1, "x": [None, True, 1.5, {"y": AWKWARD_TEXT}]}, previous={"n": 0}),
    an_event("order:ORDER/2:é", action="delete", previous={}),
    an_event("job:1", source="poll:jobs", actor={"app": "a"}, metadata={"k": "v"}),
]


@pytest.fixture(params=LOGS.values(), ids=LOGS.keys())
async def make_log(request: pytest.FixtureRequest) -> AsyncIterator[MakeLog]:
    factory: LogFactory = request.param
    async with AsyncExitStack() as stack:

        async def make(max_events: int) -> EventLog:
            log = await stack.enter_async_context(factory(max_events))
            await log.start()
            return log

        yield make


@pytest.fixture
async def log(make_log: MakeLog) -> EventLog:
    return await make_log(10_000)


def numbered(count: int, first: int = 0) -> list[Event]:
    return [an_event(f"order:{number}") for number in range(first, first + count)]


async def follow(log: EventLog, after: Position, count: int) -> list[Record]:
    """The next so many records of a tail that starts again wherever the log was lost."""
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(records) < count:
            try:
                async for batch in log.tail(records[-1].position if records else after):
                    assert batch, "a tail gives records or waits"
                    records += batch
                    if len(records) >= count:
                        break
            except TrimmedError:
                raise
            except LogError:
                continue
    return records


async def first_of_tail(log: EventLog, after: Position) -> list[Record]:
    """The first batch of a tail; it is not tried again."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for batch in log.tail(after):
            return batch
    raise AssertionError("the tail ended")


async def held(log: EventLog) -> list[Record]:
    """All that the log holds."""
    return await log.read((await log.bounds()).floor, 1000)


async def trim(log: EventLog) -> Position:
    """Appends until the first event is gone; gives its position."""
    (first,) = (await log.append([an_event("order:first")])).positions
    for _ in range(MAX_ROUNDS):
        if (await log.bounds()).floor >= first:
            return first
        await log.append(numbered(10))
    raise AssertionError("the log never dropped its first event")


async def test_an_epoch_is_a_name_that_a_cursor_can_carry(log: EventLog) -> None:
    assert re.fullmatch("[a-z0-9]{1,64}", log.epoch)
    assert log.epoch == log.epoch


async def test_a_new_log_holds_nothing(log: EventLog) -> None:
    bounds = await log.bounds()
    assert bounds.floor == bounds.head
    assert await log.read(bounds.floor, 10) == []


async def test_positions_grow_with_every_event(log: EventLog) -> None:
    before = await log.bounds()
    positions = [before.head]
    for size in (1, 3, 1, 20):
        positions += (await log.append(numbered(size))).positions
    assert len(positions) == 26
    assert all(earlier < later for earlier, later in pairwise(positions))
    assert (await log.bounds()).head == positions[-1]


async def test_positions_are_unsigned_64_bit_integers(log: EventLog) -> None:
    positions = (await log.append(numbered(5))).positions
    assert all(0 <= number < 2**64 for position in positions for number in position)


async def test_appending_nothing_changes_nothing(log: EventLog) -> None:
    await log.append(numbered(2))
    before = await log.bounds()
    assert await log.append([]) == Appended(log.epoch, [])
    assert await log.bounds() == before


def test_the_events_have_every_member() -> None:
    assert unset_members(EVENTS) == set()


async def test_what_was_appended_is_read_back_as_it_was(log: EventLog) -> None:
    start = (await log.bounds()).head
    positions = (await log.append(EVENTS)).positions
    records = await log.read(start, 100)
    assert [record.position for record in records] == positions
    assert [record.event for record in records] == EVENTS


async def test_a_read_gives_at_most_the_limit_and_goes_on_from_its_last(log: EventLog) -> None:
    start = (await log.bounds()).head
    positions = (await log.append(numbered(5))).positions
    first = await log.read(start, 2)
    rest = await log.read(first[-1].position, 100)
    assert [record.position for record in first] == positions[:2]
    assert [record.position for record in rest] == positions[2:]
    assert await log.read(positions[-1], 100) == []


def never_held(positions: Sequence[Position]) -> list[Position]:
    """Positions beside those that were given, all below the last of them."""
    beside = {
        Position(major, minor)
        for position in positions
        for major in (position.major - 1, position.major, position.major + 1)
        for minor in (0, 1, position.minor - 1, position.minor + 1, position.minor + 1000, 2**64 - 1)
        if major >= 0 and minor >= 0
    }
    return sorted(place for place in beside - set(positions) if place < positions[-1])


async def given_apart(log: EventLog) -> list[Position]:
    """The positions of events that were appended apart, and of two that were appended together."""
    batches = [numbered(1), numbered(2), numbered(1), numbered(1)]
    return [position for batch in batches for position in (await log.append(batch)).positions]


async def test_a_position_that_was_never_held_is_unknown_to_a_read_and_a_tail(log: EventLog) -> None:
    floor = (await log.bounds()).floor
    positions = await given_apart(log)
    places = [place for place in never_held(positions) if place > floor]
    assert places
    for place in places:
        with pytest.raises(UnknownPosition):
            await log.read(place, 10)
        with pytest.raises(UnknownPosition):
            await first_of_tail(log, place)


async def test_a_position_below_the_floor_is_trimmed_whether_it_was_held_or_not(
    make_log: MakeLog,
) -> None:
    log = await make_log(5)
    await trim(log)
    floor = (await log.bounds()).floor
    for place in (place for place in never_held([floor]) if place < floor):
        with pytest.raises(TrimmedError):
            await log.read(place, 10)
        with pytest.raises(TrimmedError):
            await first_of_tail(log, place)


async def test_the_floor_and_every_position_that_is_held_can_be_gone_on_from(
    make_log: MakeLog,
) -> None:
    log = await make_log(5)
    await trim(log)
    floor = (await log.bounds()).floor
    positions = [floor, *(record.position for record in await held(log))]
    for index, position in enumerate(positions[:-1]):
        assert (await log.read(position, 1))[0].position == positions[index + 1]
        assert (await follow(log, position, 1))[0].position == positions[index + 1]


async def test_reading_twice_gives_the_same(log: EventLog) -> None:
    start = (await log.bounds()).head
    await log.append(numbered(5))
    assert await log.read(start, 3) == await log.read(start, 3)


async def test_when_the_log_got_an_event_is_the_same_however_it_is_read(log: EventLog) -> None:
    start = (await log.bounds()).head
    reader = asyncio.create_task(follow(log, start, 6))
    await let_others_run()
    await log.append(numbered(3))
    await log.append(numbered(3))
    tailed = [record.recorded_ms for record in await reader]
    assert tailed == sorted(tailed)
    assert tailed[0] > 0
    assert [record.recorded_ms for record in await log.read(start, 10)] == tailed
    assert [record.recorded_ms for record in await log.latest(10)] == tailed


async def test_the_latest_are_the_newest_oldest_first(log: EventLog) -> None:
    positions = (await log.append(EVENTS)).positions
    records = await log.latest(3)
    assert [record.position for record in records] == positions[-3:]
    assert [record.event for record in records] == EVENTS[-3:]
    assert await log.latest(1) == records[-1:]


async def test_the_latest_of_a_log_that_holds_fewer_are_all_it_holds(log: EventLog) -> None:
    assert await log.latest(5) == []
    positions = (await log.append(numbered(3))).positions
    assert [record.position for record in await log.latest(3)] == positions
    assert [record.position for record in await log.latest(4)] == positions


async def test_page_by_page_backwards_all_that_is_held_comes_once(make_log: MakeLog) -> None:
    log = await make_log(50)
    for _ in range(5):
        await log.append(numbered(5))
    bounds = await log.bounds()
    records = await log.latest(4)
    while page := await log.latest(4, records[0].position):
        # What comes meanwhile comes after.
        await log.append(numbered(1))
        records = page + records
    assert records == (await log.read(bounds.floor, 10_000))[: len(records)]
    assert len(records) == 25


async def test_before_what_was_let_go_nothing_comes(make_log: MakeLog) -> None:
    log = await make_log(5)
    [first, second, *_] = (await log.append(numbered(3))).positions
    assert [record.position for record in await log.latest(2, second)] == [first]
    assert await log.latest(2, first) == []
    await trim(log)
    floor = (await log.bounds()).floor
    held = await log.read(floor, 1)
    assert first < floor
    assert await log.latest(2, first) == await log.latest(2, held[0].position) == []


async def test_the_latest_hold_nothing_that_was_let_go(make_log: MakeLog) -> None:
    log = await make_log(5)
    await trim(log)
    bounds = await log.bounds()
    records = await log.latest(10_000)
    assert records == await log.read(bounds.floor, 10_000)
    assert all(bounds.floor < record.position <= bounds.head for record in records)


async def test_everything_after_the_floor_is_held_and_nothing_else(make_log: MakeLog) -> None:
    log = await make_log(5)
    await trim(log)
    bounds = await log.bounds()
    records = await log.read(bounds.floor, 10_000)
    assert all(bounds.floor < record.position <= bounds.head for record in records)
    assert not records or records[-1].position == bounds.head


async def test_a_reader_that_the_floor_has_passed_is_told(make_log: MakeLog) -> None:
    log = await make_log(5)
    start = (await log.bounds()).head
    await trim(log)
    with pytest.raises(TrimmedError):
        await log.read(start, 10)
    with pytest.raises(TrimmedError):
        await follow(log, start, 1)


async def test_the_floor_only_rises(make_log: MakeLog) -> None:
    log = await make_log(5)
    floors = []
    for _ in range(20):
        await log.append(numbered(3))
        floors.append((await log.bounds()).floor)
    assert floors == sorted(floors)


async def test_a_tail_gives_what_is_there_and_what_comes_once_and_in_order(log: EventLog) -> None:
    start = (await log.bounds()).head
    await log.append(numbered(10))
    reader = asyncio.create_task(follow(log, start, 30))
    await let_others_run()
    await log.append(numbered(15, 10))
    await let_others_run()
    for number in range(25, 30):
        await log.append(numbered(1, number))
    records = await reader
    assert [record.event.entity_id for record in records] == [str(number) for number in range(30)]
    assert records == await log.read(start, 100)


async def test_a_tail_starts_right_after_its_position(log: EventLog) -> None:
    positions = (await log.append(numbered(10))).positions
    records = await follow(log, positions[6], 3)
    assert [record.position for record in records] == positions[7:]


async def test_a_tail_of_a_position_ahead_gives_only_what_comes_after_it(log: EventLog) -> None:
    (last,) = (await log.append(numbered(1))).positions
    ahead = Position(last.major, last.minor + 2)
    reader = asyncio.create_task(follow(log, ahead, 1))
    await let_others_run()
    positions = (await log.append(numbered(30))).positions
    records = await reader
    expected = next(position for position in positions if position > ahead)
    assert records[0].position == expected


async def test_a_read_of_a_position_ahead_gives_nothing(log: EventLog) -> None:
    (last,) = (await log.append(numbered(1))).positions
    assert await log.read(Position(last.major + 1_000_000, 0), 10) == []


async def test_two_tails_both_get_everything(log: EventLog) -> None:
    start = (await log.bounds()).head
    readers = [asyncio.create_task(follow(log, start, 20)) for _ in range(2)]
    await let_others_run()
    positions = (await log.append(numbered(12))).positions
    await let_others_run()
    positions += (await log.append(numbered(8))).positions
    for reader in readers:
        assert [record.position for record in await reader] == positions


async def test_a_tail_that_was_given_up_hinders_nobody(log: EventLog) -> None:
    start = (await log.bounds()).head
    for _ in range(3):
        reader = asyncio.create_task(follow(log, start, 10**9))
        await log.append(numbered(5))
        await let_others_run()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    assert len(await follow(log, start, 15)) == 15


async def test_appends_at_the_same_time_keep_each_batch_in_its_order(log: EventLog) -> None:
    start = (await log.bounds()).head
    batches = [numbered(4, first) for first in range(0, 40, 4)]
    given = await asyncio.gather(*(log.append(batch) for batch in batches))
    records = {record.position: record.event for record in await follow(log, start, 40)}
    assert len(records) == 40
    for batch, (_, positions, _) in zip(batches, given, strict=True):
        assert positions == sorted(positions)
        assert [records[position] for position in positions] == batch


async def test_an_append_that_was_cancelled_appended_all_or_nothing(log: EventLog) -> None:
    start = (await log.bounds()).head
    for turns in range(6):
        append = asyncio.create_task(log.append(numbered(7)))
        await let_others_run(turns)
        append.cancel()
        await asyncio.gather(append, return_exceptions=True)
    records = await log.read(start, 1000)
    assert len(records) % 7 == 0
    assert [record.event.entity_id for record in records] == ["0", "1", "2", "3", "4", "5", "6"] * (
        len(records) // 7
    )


async def test_closing_ends_every_tail(log: EventLog) -> None:
    start = (await log.bounds()).head

    async def read_to_the_end() -> int:
        count = 0
        async for batch in log.tail(start):
            count += len(batch)
        return count

    readers = [asyncio.create_task(read_to_the_end()) for _ in range(2)]
    await let_others_run()
    await log.append(numbered(1))
    await let_others_run()
    await log.close()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await asyncio.gather(*readers) == [1, 1]


async def test_closing_twice_does_nothing(log: EventLog) -> None:
    await log.close()
    await log.close()


@pytest.mark.parametrize("factory", LOGS.values(), ids=LOGS.keys())
async def test_closing_before_the_start_does_nothing(factory: LogFactory) -> None:
    async with factory(10) as log:
        await log.close()


async def test_a_log_that_is_closed_takes_no_more(log: EventLog) -> None:
    await log.close()
    with pytest.raises(LogError):
        await log.append(numbered(1))


async def test_an_append_under_a_key_is_made_once(log: EventLog) -> None:
    first = await log.append_once(numbered(3), "a", b"digest")
    again = await log.append_once(numbered(3), "a", b"digest")

    assert (first.replayed, again.replayed) == (False, True)
    assert again.positions == first.positions
    assert [record.position for record in await held(log)] == first.positions


async def test_calls_with_one_key_at_the_same_time_append_once(log: EventLog) -> None:
    calls = await asyncio.gather(*(log.append_once(numbered(2), "a", b"digest") for _ in range(10)))

    assert sorted(call.replayed for call in calls) == [False] + [True] * 9
    assert len({tuple(call.positions) for call in calls}) == 1
    assert len(await held(log)) == 2


async def test_a_key_that_comes_with_another_digest_is_a_conflict_and_appends_nothing(log: EventLog) -> None:
    await log.append_once(numbered(1), "a", b"one")

    with pytest.raises(IdempotencyConflict):
        await log.append_once(numbered(1), "a", b"another")

    assert len(await held(log)) == 1


async def test_another_key_is_another_append(log: EventLog) -> None:
    calls = [await log.append_once(numbered(1), key, b"digest") for key in ("a", "b", "A")]

    assert [call.replayed for call in calls] == [False] * 3
    assert len(await held(log)) == 3


async def test_a_call_whose_caller_went_away_has_been_made_once_or_is_made_later(log: EventLog) -> None:
    task = asyncio.ensure_future(log.append_once(numbered(2), "a", b"digest"))
    await let_others_run()
    task.cancel()
    await asyncio.wait([task])

    await log.append_once(numbered(2), "a", b"digest")

    assert len(await held(log)) == 2
