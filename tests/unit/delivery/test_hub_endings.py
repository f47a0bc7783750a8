"""How streams end: bye, clients that stopped reading, drain, stop."""

import pytest

from gateway.core.eventstream import LAST_CHUNK
from gateway.delivery.subscriber import State
from tests.support.events import an_event
from tests.support.node import RETRY_MS, STALL_SECONDS, Node
from tests.support.scheduler import ManualScheduler


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def test_bye_is_the_last_frame_and_ends_the_body_and_the_connection(node: Node) -> None:
    reader = node.connect()
    node.hub.bye(reader.subscriber, "disconnected")
    assert reader.frames()[-1].event == "bye"
    assert reader.frames()[-1].data["reason"] == "disconnected"
    assert bytes(reader.transport.received).endswith(LAST_CHUNK)
    assert reader.transport.is_closing
    node.publish(an_event())
    assert reader.numbers() == []
    assert node.hub.connections == 0


def test_a_body_without_chunks_ends_with_the_connection(node: Node) -> None:
    reader = node.connect(chunked=False)
    node.hub.bye(reader.subscriber, "limit")
    assert bytes(reader.transport.received).endswith(b"}\n\n")
    assert reader.frames()[-1].event == "bye"


def test_a_second_bye_says_nothing(node: Node) -> None:
    reader = node.connect()
    node.hub.bye(reader.subscriber, "limit")
    node.hub.bye(reader.subscriber, "drain")
    assert len(reader.frames("bye")) == 1
    assert node.hub.counters.byes == {"limit": 1}


def test_the_reconnection_time_is_drawn_around_the_configured_one(scheduler: ManualScheduler) -> None:
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    node = Node(scheduler, draw=draw)
    for _ in range(10):
        node.connect()
    assert node.hub.retry_ms() == RETRY_MS * 0.5
    assert drawn == [(RETRY_MS * 0.5, RETRY_MS * 1.5 + 10)]


def test_a_client_that_reads_nothing_for_the_stall_time_is_told_bye(node: Node) -> None:
    reader = node.connect()
    reader.transport.stop_reading()
    node.publish(an_event())
    node.scheduler.run_for(STALL_SECONDS - 1)
    assert reader.subscriber.state is State.LAGGING
    node.scheduler.run_for(2)
    assert reader.subscriber.state is State.CLOSED
    assert node.hub.counters.byes == {"slow_consumer": 1}
    reader.transport.start_reading()
    assert reader.frames()[-1].data["reason"] == "slow_consumer"


def test_a_client_that_reads_a_little_now_and_then_is_kept(node: Node) -> None:
    reader = node.connect()
    reader.transport.stop_reading()
    node.publish(an_event())
    for _ in range(8):
        node.scheduler.run_for(STALL_SECONDS / 2)
        reader.transport.read(5)
    assert reader.subscriber.state is State.LAGGING
    assert not node.hub.counters.byes


def test_a_client_that_does_not_take_its_bye_is_cut_off(node: Node) -> None:
    reader = node.connect()
    reader.transport.stop_reading()
    node.hub.bye(reader.subscriber, "disconnected")
    node.scheduler.run_for(3)
    assert not reader.transport.is_aborted
    assert node.hub.connections == 1
    node.scheduler.run_for(5)
    assert reader.transport.is_aborted
    assert node.hub.connections == 0


def test_a_client_that_takes_its_bye_late_is_not_aborted(node: Node) -> None:
    reader = node.connect()
    reader.transport.stop_reading()
    node.hub.bye(reader.subscriber, "disconnected")
    node.scheduler.run_for(3)
    reader.transport.start_reading()
    node.scheduler.run_for(60)
    assert not reader.transport.is_aborted
    assert node.hub.connections == 0


def test_a_bye_to_a_broken_connection_ends_it(node: Node) -> None:
    reader = node.connect()
    reader.transport.fail_writes(OSError())
    node.hub.bye(reader.subscriber, "disconnected")
    assert node.hub.connections == 0
    node.scheduler.run_for(60)
    assert node.hub.counters.failed_writes == 1


async def test_a_drain_says_bye_to_everybody_and_is_done_when_the_last_is_gone(node: Node) -> None:
    readers = [node.connect(), node.connect("entity=order"), node.connect(hints="off", chunked=False)]
    readers[0].transport.stop_reading()
    gone = node.hub.drain()
    assert node.hub.is_draining
    node.scheduler.run_ready()
    assert not gone.done(), "one has not read its bye yet"
    readers[0].transport.start_reading()
    node.scheduler.run_ready()
    assert gone.done()
    for reader in readers:
        assert reader.frames()[-1].data["reason"] == "drain"


async def test_a_drain_of_no_streams_is_done_at_once(node: Node) -> None:
    assert node.hub.drain().done()


async def test_events_before_a_drain_come_before_its_bye(node: Node) -> None:
    reader = node.connect()
    node.publish(an_event())
    node.append(an_event())
    node.pause()
    node.append(an_event())
    node.hub.drain()
    node.scheduler.run_for(1.0)
    assert reader.numbers() == [1, 2, 3]
    assert reader.frames()[-1].event == "bye"


async def test_a_stream_that_begins_while_the_gateway_drains_is_told_bye_too(node: Node) -> None:
    reader = node.connect()
    gone = node.hub.drain()
    node.scheduler.run_ready()
    late = node.connect()
    node.scheduler.run_for(1.0)
    assert reader.frames()[-1].event == "bye"
    assert late.frames()[-1].event == "bye"
    assert gone.done()


def test_stop_aborts_what_is_connected_and_leaves_no_timer(node: Node) -> None:
    readers = [node.connect(), node.connect()]
    readers[0].transport.stop_reading()
    node.publish(an_event())
    node.hub.stop()
    assert all(reader.transport.is_aborted for reader in readers)
    assert node.hub.connections == 0
    node.scheduler.run_ready()
    assert node.scheduler.next_timer() is None
