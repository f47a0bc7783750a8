"""Who is told what of the streams, and when."""

from collections.abc import Callable

import pytest

from gateway.core.selectors import Selector
from gateway.delivery.reassign import Reassignment
from tests.support.events import an_event
from tests.support.node import STALL_SECONDS, Node, Reader
from tests.support.observer import NotingObserver
from tests.support.scheduler import ManualScheduler


@pytest.fixture
def observer() -> NotingObserver:
    return NotingObserver()


@pytest.fixture
def node(scheduler: ManualScheduler, observer: NotingObserver) -> Node:
    return Node(scheduler, observer=observer)


def reassign(node: Node, asked: object, *, ends: bool = False) -> None:
    node.hub.reassign(lambda before: Reassignment(Selector(), asked, lambda cursor: b"", ends))
    node.scheduler.run_ready()


def test_a_stream_is_told_of_when_it_opens_and_once_when_its_connection_is_gone(
    node: Node, observer: NotingObserver
) -> None:
    reader = node.connect()
    assert observer.told == [("attached", reader.subscriber)]
    reader.transport.vanish()
    node.scheduler.run_ready()
    node.hub.lost(reader.subscriber)
    assert observer.told[1:] == [("ended", reader.subscriber)]


def test_a_stream_that_is_sent_away_has_ended_once_its_client_has_read_the_bye(
    node: Node, observer: NotingObserver
) -> None:
    reader = node.connect()
    reader.transport.stop_reading()
    node.hub.bye(reader.subscriber, "disconnected", reconnect=False)
    node.scheduler.run_ready()
    assert observer.of("ended") == []
    reader.transport.start_reading()
    node.scheduler.run_ready()
    assert observer.of("ended") == [reader.subscriber]


def cut_off(node: Node, reader: Reader) -> None:
    reader.transport.fail_writes(BrokenPipeError())
    node.publish(an_event())


def stop_reading(node: Node, reader: Reader) -> None:
    reader.transport.stop_reading()
    node.hub.clogged(reader.subscriber)
    node.scheduler.run_for(2 * STALL_SECONDS)


def stop(node: Node, reader: Reader) -> None:
    node.hub.stop()


@pytest.mark.parametrize("end", [cut_off, stop_reading, stop])
def test_however_a_stream_ends_it_is_told_of_once(
    node: Node, observer: NotingObserver, end: Callable[[Node, Reader], None]
) -> None:
    reader, other = node.connect(), node.connect()
    end(node, reader)
    node.scheduler.run_ready()
    assert observer.of("ended").count(reader.subscriber) == 1
    assert observer.of("ended").count(other.subscriber) == (end is stop)


def test_a_moved_stream_is_told_of_with_what_it_had_and_what_it_has(
    node: Node, observer: NotingObserver
) -> None:
    reader, unasked = node.connect(), node.connect()
    reader.subscriber.asked = "first"
    reassign(node, "second")
    reassign(node, "third")
    assert observer.of("moved") == [
        (reader.subscriber, "first", "second"),
        (reader.subscriber, "second", "third"),
    ]
    assert unasked.subscriber.asked is None


def test_a_stream_for_which_nothing_is_left_has_moved_before_it_ends(
    node: Node, observer: NotingObserver
) -> None:
    reader = node.connect()
    reader.subscriber.asked = "first"
    reassign(node, "nothing", ends=True)
    assert [name for name, _ in observer.told] == ["attached", "moved", "ended"]


def test_a_flush_is_told_of_once_with_all_its_entries_after_they_are_written(
    node: Node, observer: NotingObserver
) -> None:
    reader, other = node.connect("entity=order"), node.connect()
    node.append(an_event("order:1"), an_event("job:1"), an_event("order:2"))
    while not other.numbers():
        assert observer.of("flushed") == []
        assert node.scheduler.step()
    node.scheduler.run_ready()
    assert observer.of("flushed") == [[1, 2, 3]]
    assert (reader.numbers(), other.numbers()) == ([1, 3], [1, 2, 3])
    node.pause()
    node.publish(an_event())
    assert observer.of("flushed") == [[1, 2, 3], [4]]


def test_a_flush_that_nobody_matches_is_told_of_too(node: Node, observer: NotingObserver) -> None:
    node.connect("entity=order")
    node.publish(an_event("job:1"))
    assert observer.of("flushed") == [[1]]


def test_what_a_stream_catches_up_with_is_not_told_of_again(node: Node, observer: NotingObserver) -> None:
    node.publish(an_event(), an_event())
    reader = node.connect(cursor="e.0-0")
    node.pause()
    assert reader.numbers() == [1, 2]
    assert observer.of("flushed") == [[1, 2]]


def test_what_an_observer_raises_is_reported_and_loses_nothing(node: Node, observer: NotingObserver) -> None:
    reader, leaving = node.connect(), node.connect()
    observer.failure = MemoryError()
    node.publish(an_event())
    leaving.transport.vanish()
    node.pause()
    node.publish(an_event())
    node.pause()
    assert reader.numbers() == [1, 2]
    assert node.hub.flushed == 2
    assert node.hub.failures.counts == {"flush": 2, "observer": 1}
    assert node.hub.connections == 1
