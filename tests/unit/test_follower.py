"""From the log into the history."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.memory import MemoryLog
from gateway import hub as hub_module
from gateway.errors import LogError
from gateway.events import Position, Record
from gateway.follower import Follower
from gateway.history import History
from gateway.hub import Hub, HubTiming
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.loop import let_others_run, until
from tests.support.scheduler import ManualScheduler


class Node:
    """A log, and what of a node reads it."""

    def __init__(self, log: MemoryLog, scheduler: ManualScheduler) -> None:
        clock = scheduler.clock
        self.log = log
        self.scheduler = scheduler
        self.history = History(max_events=1000, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
        timing = HubTiming(heartbeat_seconds=15.0, coalesce_seconds=0.0, stall_seconds=30.0, retry_ms=2000)
        self.hub = Hub(self.history, scheduler, clock, timing, fan_in=50)
        self.follower = Follower(log, self.history, self.hub, clock)

    async def start(self) -> "asyncio.Task[None]":
        bounds = await self.log.bounds()
        self.history.open(self.log.epoch, bounds.floor)
        self.hub.start()
        return self.follow()

    def follow(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self.follower.run())


@pytest.fixture
def log(clock: ManualClock) -> MemoryLog:
    return MemoryLog(clock, max_events=1000, max_age_seconds=1e9, max_bytes=10**9)


@pytest.fixture
def node(log: MemoryLog, scheduler: ManualScheduler) -> Node:
    return Node(log, scheduler)


async def append(node: Node, count: int) -> list[Position]:
    return await node.log.append([an_event(f"order:{number}") for number in range(count)])


async def test_what_the_log_holds_and_what_comes_is_brought_into_the_history(node: Node) -> None:
    await append(node, 3)
    task = await node.start()
    await until(lambda: node.history.head == 3, "the old events came")
    positions = await append(node, 2)
    await until(lambda: node.history.head == 5, "the new events came")
    assert node.history.head_position == positions[-1]
    assert node.history.cursor(5) == f"{node.log.epoch}:{positions[-1]}"
    await node.log.close()
    await task


async def test_the_hub_is_woken_by_what_came(node: Node) -> None:
    task = await node.start()
    await append(node, 3)
    await until(lambda: node.history.head == 3, "the events came")
    node.scheduler.run_ready()
    assert node.hub.flushed == 3
    await node.log.close()
    await task


async def test_whoever_listens_is_told_that_the_history_has_grown(node: Node) -> None:
    heads: list[int] = []
    node.follower.on_grown = lambda: heads.append(node.history.head)
    task = await node.start()
    await append(node, 3)
    await until(lambda: heads == [3], "it was told once the events were there")
    await node.log.close()
    await task


async def test_an_entry_carries_the_time_at_which_it_came(node: Node) -> None:
    task = await node.start()
    node.scheduler.clock.advance(7.0)
    await append(node, 1)
    await until(lambda: node.history.head == 1, "the event came")
    assert node.history.latest(1)[0].at == node.scheduler.time()
    await node.log.close()
    await task


async def test_a_follower_that_starts_again_goes_on_where_the_history_ends(node: Node) -> None:
    task = await node.start()
    await append(node, 3)
    await until(lambda: node.history.head == 3, "the events came")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await append(node, 2)
    task = node.follow()
    await until(lambda: node.history.head == 5, "the rest came")
    entries = node.history.latest(10)
    assert [entry.event.entity_id for entry in entries] == ["0", "1", "2", "0", "1"]
    await node.log.close()
    await task


async def test_it_says_whether_it_follows(node: Node) -> None:
    assert not node.follower.is_following
    task = await node.start()
    await append(node, 1)
    await until(lambda: node.history.head == 1, "the event came")
    assert node.follower.is_following
    await node.log.close()
    await task
    assert not node.follower.is_following


class LostLog(MemoryLog):
    """A log that is lost after its first batch."""

    async def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        async for records in super().tail(after):
            yield records
            raise LogError("The connection is gone.")


async def test_a_log_that_is_lost_raises_and_keeps_what_came(scheduler: ManualScheduler) -> None:
    log = LostLog(scheduler.clock, max_events=1000, max_age_seconds=1e9, max_bytes=10**9)
    node = Node(log, scheduler)
    await append(node, 2)
    task = await node.start()
    with pytest.raises(LogError):
        await task
    assert not node.follower.is_following
    assert node.history.head == 2


async def test_it_reads_no_further_than_the_hub_can_flush(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "ENTRIES_A_FLUSH", 4)
    task = await node.start()
    await append(node, 5)
    await until(lambda: node.history.head == 5, "the first batch came")
    await append(node, 3)
    await let_others_run()
    assert node.history.head == 5, "more came than the hub had room for"
    node.scheduler.run_ready()
    await until(lambda: node.history.head == 8, "the rest came once there was room")
    await node.log.close()
    await task
