"""Compressed streams: once for all members of a group, and never one reader's own words beside events."""

import pytest

from gateway.core.eventstream import chunk
from gateway.core.gzip_stream import stored
from gateway.core.hints import HintTiming
from gateway.core.selectors import Selector
from gateway.delivery.reassign import Reassignment
from tests.support.events import an_event
from tests.support.node import HEARTBEAT_SECONDS, Node, Reader
from tests.support.scheduler import ManualScheduler

TOLD = b'event: fetch-mode\ndata: {"pollUrl":"/api/v1/sync/poll?filter=%b"}\n\n' % (b"secret=eq.1," * 40)


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def some_events(count: int = 20) -> list:
    return [an_event("order:1", data={"secret": 1, "n": n}) for n in range(count)]


def move(node: Node, reader: Reader, *, ends: bool = False) -> None:
    reader.subscriber.asked = reader
    change = Reassignment(Selector(withheld=frozenset({"job"})), reader, lambda cursor: TOLD, ends)
    node.hub.reassign(lambda asked: change if asked is reader else None)
    node.scheduler.run_ready()


def test_a_flush_is_compressed_once_and_the_same_bytes_go_to_all_members(node: Node) -> None:
    readers = [node.connect(gzip=True) for _ in range(3)]
    plain = node.connect()
    node.publish(*some_events())

    coded, *others = [reader.transport.writes[-1] for reader in readers]

    assert all(other is coded for other in others)
    assert len(coded) < len(plain.transport.writes[-1]) // 4
    assert [reader.numbers() for reader in (*readers, plain)] == [list(range(1, 21))] * 4


def test_who_comes_back_together_for_the_same_events_has_them_compressed_once(node: Node) -> None:
    node.publish(*some_events())
    one, other = (node.connect(cursor="e.3-0", chunked=False, gzip=True) for _ in range(2))
    assert one.transport.writes[-1] is other.transport.writes[-1]
    assert one.numbers() == list(range(4, 21))


def test_who_joins_later_decodes_the_same_bytes(node: Node) -> None:
    early = node.connect(gzip=True)
    node.publish(*some_events(3))
    node.pause()
    late = node.connect(gzip=True)
    node.publish(*some_events(3))

    assert late.transport.writes[-1] is early.transport.writes[-1]
    assert (early.numbers(), late.numbers()) == ([1, 2, 3, 4, 5, 6], [4, 5, 6])


def test_what_a_caller_asked_for_is_told_to_it_in_a_block_that_is_stored(node: Node) -> None:
    reader = node.connect(gzip=True)
    move(node, reader)
    assert reader.transport.writes[-1] == chunk(stored(TOLD))


def test_the_hints_that_go_before_it_are_in_a_block_of_their_own(node: Node) -> None:
    reader = node.connect(hints="with", timing=HintTiming(500, 2000), gzip=True)
    node.publish(*(an_event(f"order:{n}") for n in range(9)))
    count = len(reader.transport.writes)
    move(node, reader)

    told = reader.transport.writes[count]

    assert told.endswith(chunk(stored(TOLD)))
    assert b"refresh" not in told, "they are compressed, and only they"
    assert [frame.event for frame in reader.frames()][-10:] == ["refresh"] * 9 + ["fetch-mode"]


def test_a_stream_with_nothing_left_ends_with_stored_blocks_and_the_last_chunk(node: Node) -> None:
    reader = node.connect(gzip=True)
    move(node, reader, ends=True)

    told, bye = reader.transport.writes[-2:]

    assert told == chunk(stored(TOLD))
    assert b'event: bye\ndata: {"reason":"disconnected"' in bye
    assert bye.endswith(b"\r\n0\r\n\r\n")
    assert [frame.event for frame in reader.frames()] == ["connected", "fetch-mode", "bye"]


def test_without_chunks_the_end_of_the_connection_is_the_end(node: Node) -> None:
    reader = node.connect(chunked=False, gzip=True)
    node.hub.bye(reader.subscriber, "drain")
    assert reader.transport.is_closing
    assert [frame.event for frame in reader.frames()] == ["connected", "bye"]


def test_a_heartbeat_is_not_worth_compressing(node: Node) -> None:
    reader = node.connect(gzip=True)
    node.scheduler.run_for(HEARTBEAT_SECONDS)
    assert b"event: heartbeat\n" in reader.transport.writes[-1]
    assert len(reader.frames("heartbeat")) == 1


def test_a_client_whose_place_is_trimmed_is_reset_and_lives_on(scheduler: ManualScheduler) -> None:
    node = Node(scheduler, max_events=3)
    node.publish(*some_events(9))
    node.pause()
    reader = node.connect(cursor="e.1-0", gzip=True)
    node.publish(*some_events(2))
    assert [frame.event for frame in reader.frames()] == ["connected", "reset", "changed", "changed"]
