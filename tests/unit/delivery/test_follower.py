"""From the log into the history."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from adapters.memory import MemoryLog
from gateway.core.credentials import Credentials
from gateway.core.errors import LogError
from gateway.core.events import Cursor, Event, Position, Record
from gateway.core.hints import HintTiming
from gateway.core.history import History
from gateway.core.revocations import Revocation
from gateway.core.selectors import Selector
from gateway.delivery.follower import WARMING, Follower
from gateway.delivery.group import DeliveryOptions, Groups
from gateway.delivery.hub import Hub, HubTiming
from gateway.delivery.observer import Unobserved
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.revoked_tokens import RevokedTokens
from gateway.ports.clock import Clock
from gateway.ports.log import EventLog
from gateway.runtime.outage import Outage
from gateway.runtime.slices import SLICE_SECONDS
from tests.support.clock import BusyClock, ManualClock
from tests.support.events import TIMESTAMP, an_event
from tests.support.loop import let_others_run, until
from tests.support.scheduler import ManualScheduler
from tests.support.shaky_log import ShakyLog
from tests.support.shared_store import MemorySharedStore
from tests.support.streams import open_stream, received
from tests.support.transport import RecordingTransport


class Node:
    """A log, and what of a node reads it."""

    def __init__(
        self, log: EventLog, scheduler: ManualScheduler, *, max_events: int = 1000, pace: Pace = USUAL
    ) -> None:
        clock = scheduler.clock
        self.log = log
        self.scheduler = scheduler
        self.history = History(max_events=max_events, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
        timing = HubTiming(heartbeat_seconds=15.0, coalesce_seconds=0.0, stall_seconds=30.0, retry_ms=2000)
        self.revoked = RevokedTokens(MemorySharedStore(clock), clock)
        self.hub = Hub(
            self.history,
            scheduler,
            clock,
            timing,
            Groups(50, lambda: None),
            observer=Unobserved(),
            replays=None,
            revocations=self.revoked.revocations,
            pace=pace,
        )
        self.outage = Outage(logging.getLogger("gateway"), "log", now=clock.monotonic)
        self.heads: list[int] = []
        """Of the history, each time that it was told to have grown."""
        self.follower = self.make_follower(clock)

    def make_follower(self, clock: Clock) -> Follower:
        return Follower(self.log, self.history, self.hub, clock, self.outage, self._note_head, self.revoked)

    def _note_head(self) -> None:
        self.heads.append(self.history.head)

    async def start(self) -> "asyncio.Task[None]":
        await self.follower.start()
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
    return (await node.log.append([an_event(f"order:{number}") for number in range(count)])).positions


async def test_what_the_log_holds_and_what_comes_is_brought_into_the_history(node: Node) -> None:
    await append(node, 3)
    task = await node.start()
    await until(lambda: node.history.head == 3, "the old events came")
    positions = await append(node, 2)
    await until(lambda: node.history.head == 5, "the new events came")
    assert node.history.head_position == positions[-1]
    assert node.history.cursor(5) == f"{node.log.epoch}.{positions[-1]}"
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
    task = await node.start()
    await append(node, 3)
    await until(lambda: node.heads == [3], "it was told once the events were there")
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
    task = await node.start()
    await append(node, 2)
    with pytest.raises(LogError):
        await task
    assert not node.follower.is_following
    assert node.history.head == 2


async def test_it_reads_no_further_than_the_hub_can_flush(log: MemoryLog, scheduler: ManualScheduler) -> None:
    node = Node(log, scheduler, pace=Pace(entries_a_flush=4))
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


@pytest.fixture
def shaky() -> ShakyLog:
    return ShakyLog()


@pytest.fixture
def lasting(shaky: ShakyLog, scheduler: ManualScheduler) -> Node:
    """A node of a log that others hold too; its history holds ten events."""
    return Node(shaky, scheduler, max_events=10)


async def run_until(node: Node, task: "asyncio.Task[None]", position: Position, epoch: str = "e") -> None:
    def is_there() -> bool:
        node.scheduler.run_ready()
        assert not task.done()
        history = node.history
        return (history.epoch, history.head_position) == (epoch, position) and node.follower.is_following

    await until(is_there, f"the history has come to {epoch}.{position}")


async def end(node: Node, task: "asyncio.Task[None]") -> None:
    await node.log.close()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_node_starts_with_the_end_of_the_log_and_then_follows_it(
    lasting: Node, shaky: ShakyLog
) -> None:
    shaky.put_events(*(an_event() for _ in range(25)))
    await lasting.follower.start()
    assert lasting.follower.trouble == WARMING
    assert [entry.position.major for entry in lasting.history.latest(100)] == list(range(16, 26))
    assert lasting.hub.flushed == lasting.history.head
    task = lasting.follow()
    shaky.put_events(an_event())
    await run_until(lasting, task, Position(26, 0))
    await end(lasting, task)


DELIVERIES = [
    DeliveryOptions(),
    DeliveryOptions(hints="with", timing=HintTiming(500, 2000)),
    DeliveryOptions(hints="only", timing=HintTiming(500, 2000)),
]


@pytest.mark.parametrize("delivery", DELIVERIES, ids=lambda delivery: delivery.hints)
async def test_a_log_that_trimmed_what_the_node_had_not_read_resets_every_stream_which_lives_on(
    lasting: Node, shaky: ShakyLog, delivery: DeliveryOptions
) -> None:
    shaky.put_events(an_event(), an_event())
    task = await lasting.start()
    await run_until(lasting, task, Position(2, 0))
    transport = RecordingTransport(lasting.scheduler)
    open_stream(lasting.hub, lasting.history, transport, Selector(), delivery)
    lasting.scheduler.run_for(5.0)
    shaky.may_tail.clear()
    shaky.put_events(*(an_event() for _ in range(30)))
    shaky.trim_to(Position(25, 0))
    shaky.may_tail.set()
    await run_until(lasting, task, Position(32, 0))
    shaky.put_events(an_event(event_type="after"))
    await run_until(lasting, task, Position(33, 0))
    lasting.scheduler.run_for(5.0)

    frames = received(transport)
    resets = [frame for frame in frames if frame.event == "reset"]
    assert [(frame.id, frame.data["reason"]) for frame in resets] == [("e.32-0", "trimmed")]
    (last,) = [
        frame for frame in frames if frame.event == ("refresh" if delivery.hints == "only" else "after")
    ]
    assert last.id == "e.33-0"
    assert lasting.history.floor_position == Position(25, 0), "all is held that the log still holds"
    await end(lasting, task)


@pytest.mark.parametrize("delivery", DELIVERIES, ids=lambda delivery: delivery.hints)
async def test_a_log_that_started_over_resets_every_stream_into_the_new_epoch(
    lasting: Node, shaky: ShakyLog, delivery: DeliveryOptions
) -> None:
    shaky.put_events(an_event(), an_event())
    task = await lasting.start()
    await run_until(lasting, task, Position(2, 0))
    reading, asleep = RecordingTransport(lasting.scheduler), RecordingTransport(lasting.scheduler)
    for transport in (reading, asleep):
        open_stream(lasting.hub, lasting.history, transport, Selector(), delivery)
    asleep.clog()
    shaky.put_events(an_event())
    await run_until(lasting, task, Position(3, 0))
    shaky.start_over("f")
    shaky.put_events(*(an_event() for _ in range(5)))
    await run_until(lasting, task, Position(5, 0), "f")
    lasting.scheduler.run_for(20.0)
    asleep.start_reading()
    lasting.scheduler.run_for(20.0)

    for transport in (reading, asleep):
        frames = received(transport)
        at = next(index for index, frame in enumerate(frames) if frame.event == "reset")
        assert (frames[at].id, frames[at].data["reason"]) == ("f.5-0", "epoch")
        assert all(frame.id is None or frame.id.startswith("e.") for frame in frames[:at])
        assert {frame.id for frame in frames[at:]} == {"f.5-0"}
    await end(lasting, task)


async def test_a_log_that_started_over_while_it_was_out_of_reach_is_noticed(
    lasting: Node, shaky: ShakyLog
) -> None:
    shaky.put_events(an_event())
    task = await lasting.start()
    await run_until(lasting, task, Position(1, 0))
    shaky.lose()
    with pytest.raises(LogError):
        await task
    shaky.start_over("f")
    shaky.find()
    task = lasting.follow()
    await run_until(lasting, task, Position(0, 0), "f")
    await end(lasting, task)


async def test_it_says_that_the_log_is_out_of_reach_and_catches_up_without_loss(
    lasting: Node, shaky: ShakyLog
) -> None:
    shaky.put_events(an_event())
    task = await lasting.start()
    await run_until(lasting, task, Position(1, 0))
    transport = RecordingTransport(lasting.scheduler)
    open_stream(lasting.hub, lasting.history, transport, Selector(), DeliveryOptions())
    shaky.lose()
    with pytest.raises(LogError):
        await task
    assert lasting.follower.trouble == "The log is out of reach: The server is gone."
    shaky.put_events(*(an_event() for _ in range(5)))
    lasting.scheduler.run_for(40.0)
    assert [frame.event for frame in received(transport)] == ["connected", "heartbeat", "heartbeat"]
    shaky.find()
    task = lasting.follow()
    await run_until(lasting, task, Position(6, 0))
    ids = [frame.id for frame in received(transport) if frame.event == "changed"]
    assert ids == [f"e.{number}-0" for number in range(2, 7)]
    await end(lasting, task)


async def test_an_outage_of_the_log_is_a_line_when_it_begins_one_a_minute_and_one_at_its_end(
    lasting: Node, shaky: ShakyLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    task = await lasting.start()
    await run_until(lasting, task, Position(0, 0))
    shaky.lose()
    with pytest.raises(LogError):
        await task
    for _ in range(18):
        clock.advance(5.0)
        with pytest.raises(LogError):
            await lasting.follow()
    assert lasting.outage.lasts
    shaky.find()
    shaky.put_events(an_event())
    task = lasting.follow()
    await run_until(lasting, task, Position(1, 0))

    told = [
        (record.getMessage(), record.__dict__["fields"].get("outage_seconds")) for record in caplog.records
    ]
    assert told == [("log_failed", None), ("log_still_failing", 60), ("log_recovered", 90)]
    assert not lasting.outage.lasts
    await end(lasting, task)


async def test_while_the_log_is_still_out_of_reach_it_does_not_seem_to_follow(
    lasting: Node, shaky: ShakyLog
) -> None:
    task = await lasting.start()
    await run_until(lasting, task, Position(0, 0))
    shaky.lose()
    with pytest.raises(LogError):
        await task
    task = lasting.follow()
    for _ in range(5):
        assert not lasting.follower.is_following
        await asyncio.sleep(0)
    with pytest.raises(LogError):
        await task
    await shaky.close()


async def test_it_tells_who_waits_that_the_history_has_come_so_far(lasting: Node, shaky: ShakyLog) -> None:
    task = await lasting.start()
    await run_until(lasting, task, Position(0, 0))
    first, second, third = (
        asyncio.create_task(lasting.follower.reached(Cursor("e", Position(major, minor))))
        for major, minor in ((1, 0), (1, 1), (2, 1))
    )
    await let_others_run()
    shaky.put_events(an_event())
    await first
    assert not second.done()
    shaky.put_events(an_event())
    await second
    assert not third.done()
    shaky.put_events(an_event())
    await third
    await lasting.follower.reached(Cursor("e", Position(3, 0)))
    await end(lasting, task)


async def test_others_have_their_turns_while_a_large_batch_comes_in(
    log: MemoryLog, scheduler: ManualScheduler
) -> None:
    # Each look at the clock takes a tenth of a slice, and there is one look for each event.
    node = Node(log, scheduler)
    node.follower = node.make_follower(BusyClock(SLICE_SECONDS / 10))
    await log.start()
    task = await node.start()
    await let_others_run()
    await append(node, 500)
    heads = set()
    while node.history.head < 500:
        heads.add(node.history.head)
        await asyncio.sleep(0)
    assert len(heads) >= 500 / 11
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_few_events_come_in_at_once(node: Node) -> None:
    await node.log.start()
    task = await node.start()
    await let_others_run()
    await append(node, 3)
    heads = set()
    while node.history.head < 3:
        heads.add(node.history.head)
        await asyncio.sleep(0)
    assert heads == {0}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def revocation_of(subject: str) -> Event:
    return Revocation("subject", subject, 150.0, "left").event(TIMESTAMP)


async def test_revocations_hold_from_the_step_in_which_the_history_has_them(node: Node) -> None:
    await node.log.append([an_event(), revocation_of("ana")])
    task = await node.start()
    assert ("subject", "ana") in node.revoked.revocations
    (position,) = (await node.log.append([revocation_of("bo")])).positions
    await until(lambda: node.history.head == 3, "the new one came")
    assert node.revoked.revocations.end_of(Credentials(subject="bo"), node.log.epoch) == position
    await node.log.close()
    await task


async def test_revocations_of_a_log_that_started_over_hold_too(lasting: Node, shaky: ShakyLog) -> None:
    task = await lasting.start()
    shaky.start_over("f")
    shaky.put_events(revocation_of("ana"))
    await until(lambda: ("subject", "ana") in lasting.revoked.revocations, "it holds")
    await lasting.log.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
