"""A reassignment moves streams to what they are to get from now on."""

import pytest

from gateway.core.hints import HintTiming
from gateway.core.selectors import Selector
from gateway.delivery.group import DeliveryOptions
from gateway.delivery.reassign import Reassignment
from tests.support.events import an_event
from tests.support.node import Node, Reader
from tests.support.scheduler import ManualScheduler

WITHOUT_ORDERS = Selector(withheld=frozenset({"order"}))
TIMING = HintTiming(500, 2000)


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def move(node: Node, reader: Reader, selector: Selector, *, ends: bool = False) -> list[str]:
    """Moves one reader, and gives the cursors that were told."""
    told: list[str] = []

    def tell(cursor: str) -> bytes:
        told.append(cursor)
        return b"event: fetch-mode\ndata: {}\n\n"

    reader.subscriber.asked = reader
    node.hub.reassign(lambda asked: Reassignment(selector, reader, tell, ends) if asked is reader else None)
    node.scheduler.run_ready()
    return told


def numbers(reader: Reader) -> list[int]:
    return [int(frame.data["id"][2:-2]) for frame in reader.frames("stage_change")]


def test_a_live_reader_gets_what_it_is_moved_to_from_the_cursor_it_is_told(node: Node) -> None:
    reader, other = node.connect(), node.connect()
    node.publish(an_event("order:1", "stage_change"))

    told = move(node, reader, WITHOUT_ORDERS)
    node.pause()
    node.publish(an_event("order:1", "stage_change"), an_event("job:1", "stage_change"))

    assert told == ["e.1-0"]
    assert numbers(reader) == [1, 3]
    assert numbers(other) == [1, 2, 3]


def test_events_that_are_not_flushed_yet_come_after_the_move(node: Node) -> None:
    reader = node.connect()
    node.publish(an_event("order:1", "stage_change"))
    node.append(an_event("order:1", "stage_change"))

    told = move(node, reader, WITHOUT_ORDERS)
    node.pause()

    assert told == ["e.1-0"]
    assert numbers(reader) == [1]


def test_a_reader_that_sleeps_is_moved_at_its_own_number(node: Node) -> None:
    reader = node.connect()
    reader.transport.stop_reading()
    node.publish(an_event("order:1", "stage_change"))
    node.pause()
    node.publish(an_event("order:1", "stage_change"), an_event("job:1", "stage_change"))

    told = move(node, reader, WITHOUT_ORDERS)
    reader.transport.start_reading()
    node.pause()

    assert told == ["e.1-0"]
    assert numbers(reader) == [1, 3]


def test_a_reader_with_nothing_left_is_told_its_hints_and_ends(node: Node) -> None:
    reader = node.connect(hints="with", timing=TIMING)
    node.publish(an_event("order:1", "stage_change"))

    move(node, reader, WITHOUT_ORDERS, ends=True)

    names = [frame.event for frame in reader.frames()]
    assert names == ["connected", "stage_change", "refresh", "fetch-mode", "bye"]
    assert reader.frames("bye")[0].data["reconnect"] is False
    assert not list(node.hub.groups)


def test_a_reader_that_ends_below_the_floor_gets_no_id_that_goes_back(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_events=3)
    reader = node.connect(hints="with", timing=TIMING)
    reader.transport.stop_reading()
    for _ in range(6):
        node.publish(an_event("order:1", "stage_change"))
        node.pause()
    newest = reader.subscriber.number
    assert newest < node.history.floor

    told = move(node, reader, WITHOUT_ORDERS, ends=True)
    reader.transport.start_reading()

    assert told == [f"e.{newest}-0"]
    assert reader.last_id() == f"e.{newest}-0"
    assert reader.frames("refresh") == []


def test_a_reader_that_nobody_asked_about_is_left_alone(node: Node) -> None:
    reader = node.connect()

    node.hub.reassign(lambda asked: pytest.fail("it remembers nothing to be asked about"))
    node.scheduler.run_ready()

    assert [frame.event for frame in reader.frames()] == ["connected"]
    assert reader.subscriber.group.key == (Selector(), DeliveryOptions())
