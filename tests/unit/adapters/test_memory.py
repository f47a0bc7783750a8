"""What the embedded log promises beyond the conformance suite: its positions, its bounds, its patience."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import pytest

from adapters.memory import MemoryLog
from gateway.core.errors import LogError, TrimmedError
from gateway.core.events import ORIGIN, Position, Record, json_rest, json_size
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.loop import let_others_run, until

WALL_MS = 1_732_125_600_123


@pytest.fixture
def log(clock: ManualClock) -> MemoryLog:
    return log_of(clock)


def log_of(
    clock: ManualClock,
    *,
    max_events: int = 1000,
    max_age_seconds: float = 1e9,
    max_bytes: int = 10**9,
    **unread: int,
) -> MemoryLog:
    return MemoryLog(
        clock, max_events=max_events, max_age_seconds=max_age_seconds, max_bytes=max_bytes, **unread
    )


def tail_of(log: MemoryLog, after: Position = ORIGIN) -> AsyncGenerator[list[Record]]:
    # An async generator has aclose(), which the protocol's plain iterator need not have.
    return cast(AsyncGenerator[list[Record]], log.tail(after))


class Reader:
    """A task that follows a tail, and what it has read."""

    def __init__(self, log: MemoryLog) -> None:
        self.records: list[Record] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.task = asyncio.create_task(self._read(log))

    async def _read(self, log: MemoryLog) -> None:
        async with aclosing(tail_of(log)) as tail:
            async for records in tail:
                self.records += records
                await self.may_read.wait()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_position_is_the_wall_time_and_a_counter(log: MemoryLog, clock: ManualClock) -> None:
    assert (await log.append([an_event(), an_event()])).positions == [
        Position(WALL_MS, 0),
        Position(WALL_MS, 1),
    ]
    assert (await log.append([an_event()])).positions == [Position(WALL_MS, 2)]
    clock.advance(1.0)
    assert (await log.append([an_event()])).positions == [Position(WALL_MS + 1000, 0)]


async def test_a_record_says_when_its_event_was_appended(log: MemoryLog, clock: ManualClock) -> None:
    await log.append([an_event(), an_event()])
    clock.advance(2.5)
    await log.append([an_event()])
    async with aclosing(tail_of(log)) as tail:
        tailed = await anext(tail)
    for records in (tailed, await log.read(ORIGIN, 10), await log.latest(10)):
        assert [record.recorded_ms for record in records] == [WALL_MS, WALL_MS, WALL_MS + 2500]


async def test_the_json_of_an_event_comes_along_to_its_reader(log: MemoryLog) -> None:
    event = an_event()
    made = json_rest(event)
    async with aclosing(tail_of(log)) as tail:
        await log.append([event])
        (record,) = await anext(tail)
    assert record.event.rest is made


async def test_positions_grow_also_when_the_wall_clock_goes_back(log: MemoryLog, clock: ManualClock) -> None:
    await log.append([an_event()])
    clock.set_wall_ms(WALL_MS - 3_600_000)
    assert (await log.append([an_event()])).positions == [Position(WALL_MS, 1)]
    two = await log.append([an_event(), an_event()])
    assert two.positions == [Position(WALL_MS, 2), Position(WALL_MS, 3)]
    clock.set_wall_ms(WALL_MS + 5)
    assert (await log.append([an_event()])).positions == [Position(WALL_MS + 5, 0)]


def test_each_log_is_a_history_of_its_own(clock: ManualClock) -> None:
    epochs = {log_of(clock).epoch for _ in range(50)}
    assert len(epochs) == 50
    assert all(re.fullmatch("[a-z0-9]{1,64}", epoch) for epoch in epochs)


async def test_without_a_tail_the_count_bounds_the_log(clock: ManualClock) -> None:
    log = log_of(clock, max_events=3)
    positions = (await log.append([an_event() for _ in range(10)])).positions
    assert await log.bounds() == (positions[6], positions[9])
    assert [record.position for record in await log.read(positions[6], 10)] == positions[7:]
    with pytest.raises(TrimmedError):
        await log.read(positions[5], 10)


async def test_events_grow_old_while_nothing_is_appended(clock: ManualClock) -> None:
    log = log_of(clock, max_age_seconds=60.0)
    first = (await log.append([an_event()])).positions
    clock.advance(50.0)
    second = (await log.append([an_event()])).positions
    clock.advance(20.0)
    assert await log.bounds() == (first[0], second[0])
    clock.advance(1000.0)
    assert await log.read(second[0], 10) == []
    with pytest.raises(TrimmedError):
        await log.read(ORIGIN, 10)


async def test_bytes_bound_the_log(clock: ManualClock) -> None:
    log = log_of(clock, max_bytes=1000)
    for _ in range(100):
        await log.append([an_event(data={"a": "x" * 100})])
    bounds = await log.bounds()
    held = await log.read(bounds.floor, 1000)
    assert 3 <= len(held) <= 5


async def test_a_batch_larger_than_the_log_reaches_a_tail_whole(clock: ManualClock) -> None:
    log = log_of(clock, max_events=3)
    reader = Reader(log)
    await let_others_run()
    positions = (await log.append([an_event() for _ in range(2500)])).positions
    await until(lambda: len(reader.records) == 2500, "the tail gave all of the batch")
    assert [record.position for record in reader.records] == positions
    await reader.stop()


async def test_what_every_tail_has_given_out_is_let_go(clock: ManualClock) -> None:
    log = log_of(clock, max_events=3)
    reader = Reader(log)
    await let_others_run()
    await log.append([an_event() for _ in range(10)])
    await until(lambda: len(reader.records) == 10, "the tail read on")
    await let_others_run()
    bounds = await log.bounds()
    assert len(await log.read(bounds.floor, 100)) == 3
    await reader.stop()


async def test_a_tail_that_is_behind_keeps_what_it_has_not_read(clock: ManualClock) -> None:
    log = log_of(clock, max_events=3)
    quick, slow = Reader(log), Reader(log)
    slow.may_read.clear()
    await let_others_run()
    for _ in range(20):
        await log.append([an_event()])
        await let_others_run()
    assert len(quick.records) == 20
    assert len(slow.records) == 1
    slow.may_read.set()
    await until(lambda: len(slow.records) == 20, "the slow tail caught up")
    assert slow.records == quick.records
    await quick.stop()
    await slow.stop()


@pytest.fixture
def short(clock: ManualClock) -> MemoryLog:
    """A log of which few events may wait for a tail."""
    return log_of(clock, max_unread=3)


async def stalled(log: MemoryLog) -> tuple[Reader, "asyncio.Task[list[Position]]"]:
    """A tail that has stopped after the first of six events, and an append that waits for it."""
    reader = Reader(log)
    reader.may_read.clear()
    await let_others_run()
    await log.append([an_event()])
    await let_others_run()
    await log.append([an_event() for _ in range(5)])
    append = asyncio.create_task(log.append([an_event()]))
    await let_others_run()
    return reader, append


async def test_append_waits_while_too_many_bytes_wait_for_a_tail(
    clock: ManualClock,
) -> None:
    log = log_of(clock, max_unread_bytes=5 * json_size(an_event()) - 1)
    reader, append = await stalled(log)
    assert not append.done()
    reader.may_read.set()
    assert len((await append).positions) == 1
    await until(lambda: len(reader.records) == 7, "the tail read all")
    await reader.stop()


async def test_append_does_not_wait_for_bytes_that_every_tail_has_given_out(
    clock: ManualClock,
) -> None:
    log = log_of(clock, max_unread_bytes=1)
    reader = Reader(log)
    for count in range(1, 5):
        await log.append([an_event()])
        await until(lambda: len(reader.records) == count, "the tail read it")  # noqa: B023
    await reader.stop()
    await asyncio.gather(*(log.append([an_event()]) for _ in range(5)))


async def test_append_waits_while_a_tail_is_far_behind(short: MemoryLog) -> None:
    reader, append = await stalled(short)
    assert not append.done()
    reader.may_read.set()
    assert len((await append).positions) == 1
    await until(lambda: len(reader.records) == 7, "the tail read all")
    await reader.stop()


async def test_what_would_have_to_wait_is_not_appended_now(short: MemoryLog) -> None:
    reader, append = await stalled(short)
    assert short.append_now([an_event()]) is None
    reader.may_read.set()
    await append
    await until(lambda: len(reader.records) == 7, "the tail read all")
    appended = short.append_now([an_event(), an_event()])
    await until(lambda: len(reader.records) == 9, "the tail read what was appended now")
    assert appended is not None
    assert appended.positions == [record.position for record in reader.records[7:]]
    await reader.stop()


async def test_nothing_is_appended_now_once_the_log_is_closed(log: MemoryLog) -> None:
    await log.close()
    with pytest.raises(LogError):
        log.append_now([an_event()])


async def test_append_goes_on_once_the_tail_that_it_waits_for_ends(short: MemoryLog) -> None:
    reader, append = await stalled(short)
    await reader.stop()
    assert len((await append).positions) == 1


async def test_appends_that_waited_come_in_the_order_of_their_calls(short: MemoryLog) -> None:
    reader, append = await stalled(short)
    others = [asyncio.create_task(short.append([an_event()])) for _ in range(10)]
    reader.may_read.set()
    positions = [(await task).positions[0] for task in (append, *others)]
    assert positions == sorted(set(positions))
    await until(lambda: len(reader.records) == 17, "the tail read all")
    await reader.stop()


async def test_an_append_that_waits_fails_when_the_log_closes(short: MemoryLog) -> None:
    reader, append = await stalled(short)
    await short.close()
    with pytest.raises(LogError):
        await append
    await reader.stop()


async def test_an_append_that_was_cancelled_while_it_waited_appended_nothing(short: MemoryLog) -> None:
    reader, append = await stalled(short)
    append.cancel()
    await asyncio.gather(append, return_exceptions=True)
    reader.may_read.set()
    await until(lambda: len(reader.records) == 6, "the tail read what there was")
    assert len(await short.read(ORIGIN, 100)) == 6
    await reader.stop()
