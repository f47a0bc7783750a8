"""What one flush takes, and what it costs of a turn."""

import asyncio

import pytest
from multidict import MultiDict

from gateway.core.events import Event
from gateway.core.hints import HintTiming
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.group import DeliveryOptions, Group
from gateway.delivery.live import Flush
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.subscriber import Subscriber
from tests.support.clock import ManualClock
from tests.support.effort import calls_of
from tests.support.events import an_event
from tests.support.loop import let_others_run
from tests.support.node import COALESCE_SECONDS, Node
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def events(count: int) -> list[Event]:
    return [an_event(data={"n": "x" * 1000}) for _ in range(count)]


def begun(scheduler: ManualScheduler, **pace: int) -> Node:
    """A node at such a pace, with an event behind it."""
    node = Node(scheduler, pace=Pace(**pace))
    node.publish(*events(1))
    return node


@pytest.fixture
def frame_bytes() -> int:
    """What an event of these tests takes."""
    return len(begun(ManualScheduler(ManualClock())).history.latest(1)[0].frame)


def test_a_flush_takes_entries_until_their_bytes_are_enough(
    scheduler: ManualScheduler, frame_bytes: int
) -> None:
    node = begun(scheduler, bytes_a_flush=3 * frame_bytes)
    reader = node.connect()
    node.pause()
    node.publish(*events(8))
    assert len(reader.numbers()) == 3
    node.scheduler.run_for(COALESCE_SECONDS)
    assert len(reader.numbers()) == 6
    node.pause()
    assert reader.numbers() == list(range(2, 10))
    assert max(map(len, reader.transport.writes)) < 4 * frame_bytes


def test_an_event_that_is_larger_than_a_flush_goes_alone(
    scheduler: ManualScheduler, frame_bytes: int
) -> None:
    node = begun(scheduler, bytes_a_flush=10)
    reader = node.connect()
    node.publish(*events(3))
    node.pause()
    assert reader.numbers() == [2, 3, 4]
    assert node.hub.counters.flushes == 4


def test_what_a_group_gets_of_a_flush_comes_in_payloads_of_so_many_bytes(
    scheduler: ManualScheduler, frame_bytes: int
) -> None:
    node = begun(scheduler, bytes_a_payload=3 * frame_bytes)
    readers = [node.connect() for _ in range(2)]
    node.pause()
    flushes = node.hub.counters.flushes
    node.publish(*events(8))
    assert node.hub.counters.flushes == flushes + 1
    for reader in readers:
        assert reader.numbers() == list(range(2, 10))
        sizes = [len(write) for write in reader.transport.writes[-3:]]
        assert [size // frame_bytes for size in sizes] == [3, 3, 2]
    assert node.hub.counters.deliveries == 16


def test_who_does_not_read_gets_no_more_of_a_flush_than_one_payload(
    scheduler: ManualScheduler, frame_bytes: int
) -> None:
    node = begun(scheduler, bytes_a_payload=2 * frame_bytes)
    slow, other = node.connect(), node.connect()
    node.pause()
    slow.transport.stop_reading()
    node.publish(*events(5))
    assert other.numbers() == [2, 3, 4, 5, 6]
    assert len(slow.transport.waiting) < 3 * frame_bytes
    slow.transport.start_reading()
    node.pause()
    assert slow.numbers() == [2, 3, 4, 5, 6]


async def test_there_is_room_once_no_more_waits_than_a_flush_takes(
    scheduler: ManualScheduler, frame_bytes: int
) -> None:
    node = begun(scheduler, bytes_a_flush=3 * frame_bytes)
    node.pause()
    node.append(*events(7))
    room = asyncio.create_task(node.hub.room())
    await let_others_run()
    assert not room.done()
    node.scheduler.run_ready()
    await let_others_run()
    assert (node.hub.flushed, room.done()) == (4, False)
    node.scheduler.run_for(COALESCE_SECONDS)
    await let_others_run()
    assert (node.hub.flushed, room.done()) == (7, True)


@pytest.mark.parametrize(("writes", "rest"), [(10, 0.030), (40, 0.050)])
def test_a_flush_rests_as_long_as_the_last_one_took_but_not_for_ever(
    scheduler: ManualScheduler, writes: int, rest: float
) -> None:
    node = Node(scheduler, pace=Pace(writes_a_turn=1))
    readers = [node.connect() for _ in range(writes)]
    node.pause()
    for reader in readers:
        reader.transport.write_seconds = 0.003
    node.publish(an_event())
    node.append(an_event())
    node.scheduler.run_for(rest - 0.001)
    assert readers[0].numbers() == [1]
    node.scheduler.run_for(0.002)
    assert readers[0].numbers() == [1, 2]


@pytest.mark.parametrize(("readers", "turns"), [(1, 1), (100, 1), (200, 2)])
def test_no_turn_follows_a_flush_that_wrote_little(
    scheduler: ManualScheduler, readers: int, turns: int
) -> None:
    node = Node(scheduler)
    for _ in range(readers):
        node.connect()
    node.pause()
    node.append(an_event())
    assert scheduler.run_ready() == turns


def test_large_writes_take_more_of_a_turn(scheduler: ManualScheduler, frame_bytes: int) -> None:
    node = begun(scheduler, writes_a_turn=8, bytes_a_write=frame_bytes // 3)
    readers = [node.connect() for _ in range(10)]
    node.pause()
    node.append(*events(1))
    written = []
    for _ in range(20):
        before = sum(len(reader.numbers()) for reader in readers)
        node.scheduler.step()
        written.append(sum(len(reader.numbers()) for reader in readers) - before)
    assert sum(written) == 10
    assert max(written) == 2, "each counts as four"


def test_compressing_takes_more_of_a_turn(scheduler: ManualScheduler, frame_bytes: int) -> None:
    node = begun(scheduler, compressed_a_write=1)
    readers = [node.connect(f"entity=order,x{number}", gzip=True) for number in range(3)]
    node.pause()
    node.append(*events(1))
    steps = 0
    while any(not reader.numbers() for reader in readers):
        assert node.scheduler.step()
        steps += 1
    assert steps >= 3, "one group a turn"


GROUPS = 2000
CALLS_A_GROUP = 60
"""More than it takes to match a filter, and to write to one reader what matches."""


@pytest.mark.parametrize("bound", [5, 50], ids=["to all of them", "to none of them"])
def test_one_event_against_many_groups_is_matched_and_delivered_in_pieces(node: Node, bound: int) -> None:
    readers = [node.connect(f"filter=n=gt.{bound - index / GROUPS}") for index in range(GROUPS)]
    node.pause()
    node.append(an_event(data={"n": 10}))
    assert max(efforts(node)) < CALLS_A_GROUP * USUAL.writes_a_turn
    assert {len(reader.numbers()) for reader in readers} == {1 if bound == 5 else 0}


def test_hints_for_many_groups_are_planned_in_pieces(node: Node) -> None:
    timing = HintTiming(50, 100)
    for index in range(GROUPS):
        node.connect(f"filter=n=gt.{index / GROUPS}", hints="only", timing=timing)
    node.pause()
    node.append(an_event("order:1", data={"n": 10}))
    assert max(efforts(node)) < CALLS_A_GROUP * USUAL.writes_a_turn


def test_who_comes_and_goes_while_an_event_is_matched_gets_it_once(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, pace=Pace(writes_a_turn=1))
    readers = [node.connect(f"filter=n=gt.{index}") for index in range(6)]
    node.pause()
    node.append(an_event(data={"n": 10}))
    node.scheduler.step()
    node.scheduler.step()
    assert not any(reader.numbers() for reader in readers), "it is being matched"
    fresh = [node.connect(f"filter=n=gt.{index}", cursor="e.0-0") for index in (0, 5, 7)]
    for gone in (readers[0], readers[5]):
        node.hub.lost(gone.subscriber)
    node.pause()
    assert [reader.numbers() for reader in readers] == [[], [1], [1], [1], [1], []]
    assert [reader.numbers() for reader in fresh] == [[1], [1], [1]]


def efforts(node: Node) -> list[int]:
    """How many calls each callback of the loop makes, until none is ready."""
    found = []
    took: list[bool] = [True]
    while took[-1]:
        found.append(calls_of(lambda: took.append(node.scheduler.step())))
    return found


ORDERS = parse_selector(MultiDict({"entity": "order"}), {})
TIMING = HintTiming(500, 2000)


class Taking:
    """A flush of an event of an order and a global one, and a group with a member."""

    def __init__(self, node: Node, delivery: DeliveryOptions, selector: Selector = ORDERS) -> None:
        node.append(an_event("order:1"), an_event(None))
        self.entries = node.history.latest(2)
        self.flush = Flush(node.history, 2)
        self.group = Group(selector, delivery, fan_in=50)
        self.member = Subscriber(self.group, 0, RecordingTransport(node.scheduler))
        self.group.members[self.member] = None

    def offer(self, number: int) -> None:
        self.flush.offer(self.group, number, self.entries[number - 1])

    def pending(self) -> int:
        return len(self.group.debouncer.take_all()) if self.group.debouncer is not None else 0


def test_what_matches_is_taken_into_the_flush_with_its_number(node: Node) -> None:
    taking = Taking(node, DeliveryOptions())
    taking.offer(2)
    assert taking.flush.outboxes == {}
    taking.offer(1)
    assert taking.flush.outboxes == {taking.group: [(1, (), taking.entries[0].frame)]}


def test_for_a_group_without_live_members_nothing_is_kept_but_that_it_matches(node: Node) -> None:
    taking = Taking(node, DeliveryOptions(hints="with", timing=TIMING))
    taking.group.members.clear()
    taking.offer(1)
    assert taking.flush.outboxes == {taking.group: []}
    assert taking.pending() == 0


@pytest.mark.parametrize(("hints", "frames", "pending"), [("off", 1, 0), ("with", 1, 1), ("only", 0, 1)])
def test_hints_decide_what_is_kept(node: Node, hints: str, frames: int, pending: int) -> None:
    timing = None if hints == "off" else TIMING
    taking = Taking(node, DeliveryOptions(hints=hints, timing=timing))  # type: ignore[arg-type]
    taking.offer(1)
    assert len(taking.flush.outboxes[taking.group]) == frames
    assert taking.pending() == pending


def test_a_global_event_gives_no_hint(node: Node) -> None:
    taking = Taking(node, DeliveryOptions(hints="only", timing=TIMING), Selector())
    taking.offer(2)
    assert taking.flush.outboxes == {taking.group: []}
    assert taking.pending() == 0


def test_a_member_lacks_the_hints_that_go_before_what_it_has_not_got(node: Node) -> None:
    taking = Taking(node, DeliveryOptions(hints="with", timing=TIMING), Selector())
    taking.offer(1)
    node.scheduler.clock.advance(10.0)
    node.append(an_event("order:2"))
    taking.entries += node.history.latest(1)
    taking.offer(3)
    assert [refresh.entity_id for refresh in taking.flush.lacking(taking.member)] == ["1"]
    taking.member.number = 3
    assert taking.flush.lacking(taking.member) == []
