"""Hints that are due are given to all of a group alike, whole, between two flushes."""

from collections.abc import Sequence

import pytest

from gateway.core.hints import HintTiming
from gateway.delivery.subscriber import State
from tests.support.events import an_event
from tests.support.node import Node, Reader
from tests.support.scheduler import ManualScheduler

DUE_MS = 500
TIMING = HintTiming(debounce_ms=DUE_MS, max_wait_ms=DUE_MS)
MANY = 300
"""More members than one turn writes to."""


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


def connect(node: Node, query: str = "", *, hints: str = "only", cursor: str | None = None) -> Reader:
    return node.connect(query, cursor=cursor, hints=hints, timing=TIMING)


def hinted(reader: Reader) -> list[tuple[str | None, str | None]]:
    """The entity and the id of each hint that the client has read."""
    return [(frame.data.get("entityId"), frame.id) for frame in reader.frames("refresh")]


def comes_due(node: Node) -> None:
    """What was published is due, and nothing of it has been given yet."""
    node.scheduler.clock.advance((DUE_MS + 1) / 1000)


def gives_some(node: Node, readers: Sequence[Reader]) -> tuple[list[Reader], list[Reader]]:
    """Steps until some have their hint; gives those, and the others."""
    while not any(reader.frames("refresh") for reader in readers):
        assert node.scheduler.step()
    given = [reader for reader in readers if reader.frames("refresh")]
    waiting = [reader for reader in readers if not reader.frames("refresh")]
    assert waiting
    return given, waiting


@pytest.mark.parametrize("hints", ["only", "with"])
def test_all_of_a_group_get_the_same_bytes_and_get_them_once(node: Node, hints: str) -> None:
    readers = [connect(node, hints=hints) for _ in range(3)]
    node.publish(an_event("order:1"))
    node.scheduler.run_for(10.0)
    payloads = [reader.transport.writes[-1] for reader in readers]
    assert payloads[0] is payloads[1] is payloads[2]
    assert [hinted(reader) for reader in readers] == [[("1", "e.1-0")]] * 3
    assert node.hub.counters.hints == 3


def test_only_the_groups_whose_hints_are_due_are_given_any(node: Node) -> None:
    first, second = connect(node, "entity=order"), connect(node, "entity=job")
    node.publish(an_event("order:1"))
    node.scheduler.run_for(DUE_MS / 2000)
    node.publish(an_event("job:1"))
    node.scheduler.run_for(DUE_MS / 2000 + 0.1)
    assert [hinted(first), hinted(second)] == [[("1", "e.2-0")], []]
    node.scheduler.run_for(DUE_MS / 1000)
    assert [hinted(first), hinted(second)] == [[("1", "e.2-0")], [("1", "e.2-0")]]


def test_no_event_is_written_to_anybody_before_all_have_the_hint(node: Node) -> None:
    readers = [connect(node, hints="with") for _ in range(MANY)]
    node.publish(an_event("order:1"))
    comes_due(node)
    gives_some(node, readers)
    node.append(an_event("order:2"))
    node.scheduler.run_for(0.1)
    for reader in readers:
        assert [frame.event for frame in reader.frames()][1:] == ["changed", "refresh", "changed"]


def test_a_hint_does_not_set_back_who_was_told_more_than_the_others(node: Node) -> None:
    timing = HintTiming(debounce_ms=DUE_MS, max_wait_ms=4 * DUE_MS)
    waiting = node.connect(hints="only", timing=timing)
    node.publish(an_event("order:1"), an_event("order:2"))
    node.scheduler.run_for(DUE_MS / 2000)
    node.publish(an_event("order:1"))
    late = node.connect(cursor="e.3-0", hints="only", timing=timing)
    assert waiting.subscriber.group is late.subscriber.group
    node.scheduler.run_for(DUE_MS / 2000 + 0.1)
    # The hint of the first event is pending yet.
    assert (hinted(waiting), hinted(late)) == ([("2", "e.0-0")], [("2", "e.3-0")])
    node.scheduler.run_for(1.0)
    assert (hinted(waiting)[1:], hinted(late)[1:]) == ([("1", "e.3-0")], [("1", "e.3-0")])


def test_who_is_gone_meanwhile_is_left_out_and_the_others_get_theirs(node: Node) -> None:
    readers = [connect(node) for _ in range(MANY)]
    node.publish(an_event("order:1"))
    comes_due(node)
    given, waiting = gives_some(node, readers)
    gone, *others = waiting
    gone.transport.vanish()
    node.scheduler.run_for(1.0)
    assert hinted(gone) == []
    assert {len(hinted(reader)) for reader in given + others} == {1}
    assert node.hub.counters.hints == MANY - 1


def test_who_clogs_meanwhile_gets_the_hint_once_it_reads_again(node: Node) -> None:
    readers = [connect(node) for _ in range(MANY)]
    node.publish(an_event("order:1"))
    comes_due(node)
    _, (clogged, *_) = gives_some(node, readers)
    clogged.transport.clog()
    node.scheduler.run_for(1.0)
    assert (clogged.subscriber.state, hinted(clogged)) == (State.LAGGING, [])
    clogged.transport.start_reading()
    node.scheduler.run_for(1.0)
    assert hinted(clogged) == [("1", "e.1-0")]


def test_hints_whose_readers_are_all_gone_are_given_to_nobody(node: Node) -> None:
    reader = connect(node)
    node.publish(an_event("order:1"))
    reader.transport.vanish()
    node.scheduler.run_for(10.0)
    assert node.hub.counters.hints == 0
    assert not node.hub.failures.counts


def test_a_round_that_fails_in_one_group_is_reported_and_whole_in_the_others(node: Node) -> None:
    broken, beside = connect(node, "entity=order"), connect(node, "entity=order")
    other = connect(node, "entity=order,job")
    node.publish(an_event("order:1"))

    def abort() -> None:
        broken.transport.vanish()
        raise MemoryError

    broken.transport.fail_writes(BrokenPipeError())
    broken.transport.abort = abort  # type: ignore[method-assign]
    node.scheduler.run_for(10.0)
    assert node.hub.failures.counts == {"hints": 1}
    assert hinted(broken) == []
    assert [hinted(reader) for reader in (beside, other)] == [[("1", "e.1-0")]] * 2
