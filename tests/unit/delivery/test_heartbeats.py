"""Heartbeats: to whom, when, how many at once, and with which cursor."""

import pytest

from gateway.core.hints import HintTiming
from gateway.delivery.pace import Pace
from gateway.delivery.streams import ROUNDS_A_BEAT
from tests.support.events import an_event
from tests.support.node import HEARTBEAT_SECONDS, Node
from tests.support.scheduler import ManualScheduler

ROUND_SECONDS = HEARTBEAT_SECONDS / ROUNDS_A_BEAT


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def test_a_quiet_stream_gets_one_each_interval_which_moves_its_cursor(node: Node) -> None:
    reader = node.connect("entity=job")
    node.publish(an_event("order:1"))
    node.scheduler.run_for(HEARTBEAT_SECONDS - 0.1)
    assert reader.frames("heartbeat") == []
    node.scheduler.run_for(0.1)
    assert [frame.id for frame in reader.frames("heartbeat")] == ["e.1-0"]
    node.scheduler.run_for(2 * HEARTBEAT_SECONDS)
    assert len(reader.frames("heartbeat")) == 3
    assert node.hub.counters.heartbeats == 3


def test_a_stream_that_gets_events_needs_none(node: Node) -> None:
    reader = node.connect()
    for _ in range(20):
        node.scheduler.run_for(HEARTBEAT_SECONDS / 2)
        node.publish(an_event())
    assert reader.frames("heartbeat") == []


def test_no_stream_is_silent_for_longer_than_the_interval_after_its_last_event(node: Node) -> None:
    for step in range(ROUNDS_A_BEAT + 1):
        reader = node.connect()
        node.scheduler.run_for(step * ROUND_SECONDS + 0.05)
        node.publish(an_event())
        written = len(reader.transport.writes)
        node.scheduler.run_for(HEARTBEAT_SECONDS)
        assert len(reader.transport.writes) > written, f"the event came in round {step}"
        reader.transport.vanish()


def test_streams_that_come_together_are_not_due_together(node: Node) -> None:
    readers = [node.connect() for _ in range(8 * ROUNDS_A_BEAT)]
    per_round = []
    for _ in range(2 * ROUNDS_A_BEAT):
        before = node.hub.counters.heartbeats
        node.scheduler.run_for(ROUND_SECONDS)
        per_round.append(node.hub.counters.heartbeats - before)
    assert per_round == [8] * 2 * ROUNDS_A_BEAT
    assert all(len(reader.frames("heartbeat")) == 2 for reader in readers)


def test_what_is_published_meanwhile_goes_between_the_slices(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, pace=Pace(streams_a_slice=10))
    readers = [node.connect("entity=job") for _ in range(40)]
    for reader in readers:
        reader.subscriber.beat_round = 0  # all are due in the same round
    waiting = node.connect()
    node.scheduler.run_for(HEARTBEAT_SECONDS)
    assert node.hub.counters.heartbeats == 10, "a slice of them, the others come within the round"
    node.publish(an_event("order:1"))
    assert waiting.numbers() == [1]
    assert node.hub.counters.heartbeats == 10
    node.scheduler.run_for(ROUND_SECONDS)
    assert all(reader.frames("heartbeat") for reader in readers)


def test_after_a_long_pause_of_the_process_nobody_gets_more_than_one(node: Node) -> None:
    reader = node.connect()
    node.scheduler.clock.advance(100 * HEARTBEAT_SECONDS)
    node.scheduler.run_for(ROUND_SECONDS)
    assert len(reader.frames("heartbeat")) <= 1


def test_a_hub_that_has_stopped_gives_none(node: Node) -> None:
    node.scheduler.run_for(HEARTBEAT_SECONDS)
    node.hub.stop()
    node.scheduler.run_ready()
    assert node.scheduler.next_timer() is None


def test_a_flush_between_two_heartbeats_of_a_slice_is_in_the_cursor_of_the_second(
    scheduler: ManualScheduler,
) -> None:
    node = Node(scheduler, pace=Pace(writes_a_turn=1))
    readers = [node.connect("entity=job") for _ in range(2)]
    for reader in readers:
        reader.subscriber.beat_round = 0
    node.scheduler.run_for(HEARTBEAT_SECONDS - 0.01)
    node.scheduler.clock.advance(0.01)
    while not any(reader.frames("heartbeat") for reader in readers):
        assert node.scheduler.step()
    second = next(reader for reader in readers if not reader.frames("heartbeat"))
    node.publish(an_event("order:1"))
    assert [frame.id for frame in second.frames("heartbeat")] == ["e.1-0"]


@pytest.mark.parametrize("hints", ["with", "only"])
def test_a_heartbeat_never_sets_the_cursor_back(node: Node, hints: str) -> None:
    timing = HintTiming(debounce_ms=60_000, max_wait_ms=60_000)
    first = node.connect(hints=hints, timing=timing)
    node.publish(an_event("order:1"))
    node.pause()
    late = node.connect(cursor="e.0-0", hints=hints, timing=timing)
    node.scheduler.run_for(2 * HEARTBEAT_SECONDS)
    for reader in (first, late):
        ids = [int(frame.id[2:-2]) for frame in reader.frames() if frame.id is not None]
        assert ids == sorted(ids)
        assert reader.frames("heartbeat")
