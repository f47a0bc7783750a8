"""How far a stream is behind: in entries that it was not written, and in time."""

import pytest

from gateway.delivery.lag import Lag, lag_of
from gateway.delivery.subscriber import State
from tests.support.events import an_event
from tests.support.node import Node, Reader
from tests.support.scheduler import ManualScheduler


def lag(node: Node, reader: Reader) -> Lag:
    return lag_of(reader.subscriber, node.history, node.hub.flushed, node.scheduler.time())


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler, max_events=5)


def test_a_live_stream_lacks_what_was_not_flushed_yet(node: Node) -> None:
    reader = node.connect()
    node.publish(an_event())
    node.pause()
    assert lag(node, reader) == Lag(0, 0.0, False)

    node.append(an_event(), an_event())
    node.scheduler.clock.advance(0.5)

    assert lag(node, reader) == Lag(2, 0.5, False)


def test_one_that_does_not_read_falls_behind_and_out_of_the_history(node: Node) -> None:
    reader = node.connect()
    reader.transport.clog()
    assert reader.subscriber.state is State.LAGGING
    node.publish(an_event())
    node.scheduler.clock.advance(1.0)
    node.publish(an_event())
    lagging = lag(node, reader)
    assert (lagging.events, lagging.is_more) == (2, False)
    assert lagging.seconds >= 1.0

    for _ in range(10):
        node.publish(an_event())
        node.pause()

    behind = lag(node, reader)
    assert (behind.events, behind.is_more) == (node.history.head - node.history.floor, True)
