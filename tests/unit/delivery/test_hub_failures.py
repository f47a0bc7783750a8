"""The hub's work fails where nobody foresaw it: every reader is whole or told, and the failure is seen."""

import asyncio

import pytest

from gateway.core import control_frames
from gateway.core.hints import HintTiming
from gateway.delivery.group import Group
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.live import Flush
from gateway.delivery.pace import Pace
from gateway.delivery.reassign import Reassignment
from gateway.delivery.subscriber import State
from tests.support.events import an_event
from tests.support.node import HEARTBEAT_SECONDS, Node
from tests.support.scheduler import ManualScheduler


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """The next call raises MemoryError."""
    real = getattr(owner, name)

    def fail(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(owner, name, real)
        raise MemoryError

    monkeypatch.setattr(owner, name, fail)


IN_A_FLUSH = pytest.mark.parametrize(
    ("owner", "name"), [(Flush, "offer"), (Group, "frame"), (Flush, "frames"), (Group, "framed")]
)


@IN_A_FLUSH
def test_an_event_is_not_lost_where_its_flush_fails(
    node: Node, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    reader, other = node.connect(), node.connect("entity=order")
    fail_once(monkeypatch, owner, name)
    node.publish(an_event("order:1"))
    node.pause()
    node.publish(an_event("job:1"), an_event("order:2"))
    assert (reader.numbers(), other.numbers()) == ([1, 2, 3], [1, 3])
    assert node.hub.failures.counts == {"flush": 1}
    assert node.hub.flushed == 3


@IN_A_FLUSH
def test_a_hint_is_not_lost_where_the_flush_that_was_to_bring_it_fails(
    node: Node, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    reader = node.connect(hints="with", timing=HintTiming(50, 50))
    node.publish(an_event("order:1"))
    node.scheduler.clock.advance(1.0)  # the loop is held up, with the hint due
    fail_once(monkeypatch, owner, name)
    node.publish(an_event("order:2"))
    assert node.hub.failures.counts == {"flush": 1}
    assert reader.numbers() == [1, 2]
    node.pause()
    assert [frame.data["entityId"] for frame in reader.frames("refresh")] == ["1", "2"]


def test_hints_that_a_failed_flush_left_behind_do_not_hold_the_cursor_for_ever(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = node.connect("entity=order", hints="only", timing=HintTiming(50, 100))
    fail_once(monkeypatch, HintSchedule, "plan")
    node.publish(an_event("order:1"))
    node.pause()
    node.publish(an_event("job:1"))
    node.scheduler.run_for(2 * HEARTBEAT_SECONDS)
    assert [frame.data["entityId"] for frame in reader.frames("refresh")] == ["1"]
    assert reader.last_id() == "e.2-0"


@pytest.mark.parametrize("hints", ["only", "with"])
@pytest.mark.parametrize(
    ("owner", "name"), [(HintSchedule, "plan"), (Group, "hint_frames"), (Group, "framed")]
)
def test_hints_that_fail_when_they_are_due_are_given_all_the_same(
    node: Node, monkeypatch: pytest.MonkeyPatch, hints: str, owner: object, name: str
) -> None:
    reader = node.connect("entity=order", hints=hints, timing=HintTiming(50, 100))
    node.publish(an_event("order:1"))
    fail_once(monkeypatch, owner, name)
    node.pause()
    assert node.hub.failures.counts == {"hints": 1}
    assert [frame.data["entityId"] for frame in reader.frames("refresh")] == ["1"]


def test_a_stream_that_lost_its_place_gets_its_reset_before_it_is_told_of_another_mode(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.publish(an_event(), an_event())
    fail_once(monkeypatch, Group, "frame")
    reader = node.connect(cursor="e.0-0")
    reader.subscriber.asked = "as before"

    def tell(cursor: str) -> bytes:
        return b'event: fetch-mode\ndata: {"cursor": "%b"}\n\n' % cursor.encode()

    node.hub.reassign(lambda asked: Reassignment(reader.subscriber.group.selector, asked, tell, ends=False))
    node.pause()
    assert [frame.event for frame in reader.frames()] == ["connected", "reset", "fetch-mode"]
    assert [frame.data["cursor"] for frame in reader.frames()[1:]] == ["e.2-0", "e.2-0"]


def test_who_has_the_event_of_a_flush_that_fails_does_not_get_it_again(
    scheduler: ManualScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(scheduler, pace=Pace(writes_a_turn=1))
    readers = [node.connect(), node.connect(), node.connect("entity=order")]
    node.append(an_event("order:1"))
    while not readers[0].numbers():
        assert node.scheduler.step()
    fail_once(monkeypatch, Group, "framed")
    node.scheduler.run_for(1.0)
    assert [reader.numbers() for reader in readers] == [[1]] * 3
    assert node.hub.failures.counts == {"flush": 1}
    assert node.hub.counters.deliveries == 3


async def test_a_long_poll_that_a_failed_flush_concerned_looks_for_itself(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = node.connect()
    group = node.hub.groups.get(reader.subscriber.group.selector, None)
    waiter = asyncio.get_running_loop().create_future()
    group.waiters.add(waiter)
    fail_once(monkeypatch, Group, "framed")
    node.publish(an_event())
    assert waiter.done()


def test_deliveries_are_counted_when_they_are_written(node: Node) -> None:
    broken, well = node.connect(), node.connect()
    broken.transport.fail_writes(BrokenPipeError())
    node.publish(an_event(), an_event())
    assert well.numbers() == [1, 2]
    assert node.hub.counters.deliveries == 2


def test_an_event_that_fails_for_a_stream_alone_ends_in_a_reset_and_the_stream_lives_on(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.publish(an_event(), an_event())
    fail_once(monkeypatch, Group, "frame")
    reader, other = node.connect(cursor="e.0-0"), node.connect(cursor="e.0-0")
    node.pause()
    (reset,) = reader.frames("reset")
    assert (reset.data["reason"], reset.id) == ("unknown", "e.2-0")
    assert other.numbers() == [1, 2]
    node.publish(an_event())
    assert reader.numbers() == [3]
    assert node.hub.failures.counts == {"catch_up": 1}


def test_who_can_not_even_be_reset_is_cut_off(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.publish(an_event())
    fail_once(monkeypatch, Group, "frame")
    reader = node.connect(cursor="e.0-0")
    fail_once(monkeypatch, control_frames, "reset")
    node.scheduler.run_ready()
    assert reader.transport.is_aborted
    assert node.hub.connections == 0
    assert node.hub.failures.counts == {"catch_up": 2}


def test_a_write_that_fails_in_an_unforeseen_way_cuts_that_stream_off(node: Node) -> None:
    broken, well = node.connect(), node.connect()
    broken.transport.fail_writes(MemoryError())
    node.publish(an_event())
    assert broken.transport.is_aborted
    assert broken.subscriber.state is State.CLOSED
    assert well.numbers() == [1]
    assert node.hub.failures.counts == {"write": 1}
    assert node.hub.counters.failed_writes == 1


def test_a_review_that_fails_for_a_stream_cuts_it_off_and_goes_on(node: Node) -> None:
    readers = [node.connect() for _ in range(2)]
    for number, reader in enumerate(readers):
        reader.subscriber.asked = f"reader {number}"
    asked: list[object] = []

    def reassignment_for(what: object) -> Reassignment | None:
        asked.append(what)
        if len(asked) == 1:
            raise MemoryError
        return None

    node.hub.reassign(reassignment_for)
    node.scheduler.run_ready()
    assert asked == ["reader 0", "reader 1"]
    assert [reader.transport.is_aborted for reader in readers] == [True, False]
    assert node.hub.failures.counts == {"review": 1}


def test_heartbeats_go_on_after_one_that_failed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = node.connect()
    fail_once(monkeypatch, control_frames, "heartbeat")
    node.scheduler.run_for(2 * HEARTBEAT_SECONDS)
    assert reader.frames("heartbeat")
    assert node.hub.failures.counts == {"heartbeats": 1}


async def test_whoever_waits_for_a_new_history_hears_that_it_failed(node: Node) -> None:
    def change() -> None:
        raise MemoryError

    done = node.hub.start_over(change, "epoch")
    node.scheduler.run_ready()
    with pytest.raises(MemoryError):
        done.result()
    reader = node.connect()
    node.publish(an_event())
    assert reader.numbers() == [1]


async def test_a_drain_goes_on_where_a_bye_fails(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = [node.connect() for _ in range(2)]
    fail_once(monkeypatch, control_frames, "bye")
    gone = node.hub.drain()
    node.scheduler.run_ready()
    assert gone.done()
    assert [reader.transport.is_aborted for reader in readers] == [True, False]
    assert len(readers[1].frames("bye")) == 1
