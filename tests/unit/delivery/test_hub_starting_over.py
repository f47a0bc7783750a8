"""Starting over: the history has other entries, and every reader gets a `reset`, some in each turn."""

from typing import Any

import pytest

from gateway.core.events import Position
from gateway.core.history import History
from gateway.delivery.pace import Pace
from tests.support.events import a_record, an_event
from tests.support.node import Node, Reader
from tests.support.scheduler import ManualScheduler

ANEW = [("f.7-0", "epoch")]


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler, pace=Pace(writes_a_turn=4))


def start_over(node: Node) -> Any:
    """Tells the hub to; the future says when it has."""
    fresh: History = node.history.blank()
    fresh.open("f", Position(7, 0))
    return node.hub.start_over(lambda: node.history.become(fresh), "epoch")


def resets(reader: Reader) -> list[tuple[str | None, str]]:
    return [(frame.id, frame.data["reason"]) for frame in reader.frames("reset")]


async def test_streams_are_sent_away_some_in_each_turn(node: Node) -> None:
    readers = [node.connect("entity=order" if number % 2 else "") for number in range(20)]
    moved: list[int] = []
    done = start_over(node)
    while not done.done():
        before = sum(len(group.members) for group in node.hub.groups)
        assert node.scheduler.step()
        moved.append(before - sum(len(group.members) for group in node.hub.groups))

    assert max(moved) == 4
    node.scheduler.run_for(1.0)
    assert [resets(reader) for reader in readers] == [ANEW] * 20


async def test_whoever_comes_or_reads_again_meanwhile_is_told_once_and_gets_what_follows(node: Node) -> None:
    readers = [node.connect() for _ in range(12)]
    node.publish(an_event())
    for reader in readers[:2] + readers[-2:]:
        reader.transport.clog()
    done = start_over(node)
    turns = 0
    while not done.done():
        readers.append(node.connect())
        readers.append(node.connect(cursor="e.0-0"))
        if turns == 1:
            for reader in (readers[0], readers[11]):
                reader.transport.start_reading()
        assert node.scheduler.step()
        turns += 1
    assert turns > 2
    node.scheduler.run_for(1.0)
    for reader in (readers[1], readers[10]):
        reader.transport.start_reading()
    node.scheduler.run_for(1.0)

    assert [resets(reader) for reader in readers] == [ANEW] * len(readers)
    assert {reader.last_id() for reader in readers} == {"f.7-0"}


async def test_nobody_is_served_from_the_new_history_before_its_reset(node: Node) -> None:
    readers = [node.connect() for _ in range(12)]
    done = start_over(node)
    while not done.done():
        assert node.scheduler.step()
        assert all(reader.frames("reset") == [] for reader in readers) or done.done()
    node.history.append(a_record(8, an_event()), node.scheduler.time())
    node.hub.wake()
    node.scheduler.run_for(1.0)

    for reader in readers:
        assert [frame.event for frame in reader.frames()][-2:] == ["reset", "changed"]
