"""A long poll's wait."""

import asyncio

import pytest
from multidict import MultiDict

from gateway.core.events import ORIGIN, Position
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.long_poll import LongPoll
from tests.support.events import an_event
from tests.support.loop import let_others_run
from tests.support.node import Node
from tests.support.scheduler import ManualScheduler

ORDERS = parse_selector(MultiDict({"entity": "order"}), {})
ALL = Selector()
LONG = 1000.0


@pytest.fixture
def node(scheduler: ManualScheduler) -> Node:
    return Node(scheduler)


async def waiting(long_poll: LongPoll) -> "asyncio.Task[Position | None]":
    """A task that waits, and has begun to."""
    task = asyncio.create_task(long_poll.wait(LONG))
    await let_others_run()
    return task


async def test_a_matching_event_wakes_it(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        task = await waiting(long_poll)
        node.publish(an_event("order:1"))
        assert await task is not None


async def test_an_event_that_does_not_match_leaves_it_waiting(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        task = await waiting(long_poll)
        node.publish(an_event("job:1"))
        node.pause()
        await let_others_run()
        assert not task.done()
        node.publish(an_event("order:1"))
        assert await task == Position(1, 0), "it was not told up to where nothing matched"


async def test_it_gives_up_when_its_time_is_over(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        assert await long_poll.wait(0.0) is None


async def test_it_can_wait_again_after_it_woke(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        for _ in range(3):
            task = await waiting(long_poll)
            node.publish(an_event("order:1"))
            assert await task is not None
            node.pause()


async def test_several_watches_of_one_selection_all_wake(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as one, LongPoll(node.hub.groups, ORDERS) as other:
        tasks = [await waiting(one), await waiting(other)]
        assert len(node.hub.groups) == 1
        node.publish(an_event("order:1"))
        assert [await task for task in tasks] == [ORIGIN, ORIGIN]


async def test_a_drain_wakes_it(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        task = await waiting(long_poll)
        node.hub.drain()
        node.scheduler.run_ready()
        assert await task is not None


async def test_it_tells_the_gateway_that_somebody_is_interested(scheduler: ManualScheduler) -> None:
    asked: list[bool] = []
    node = Node(scheduler, on_interest=lambda: asked.append(True))
    with LongPoll(node.hub.groups, ORDERS):
        assert node.hub.groups.wants("order")
        assert not node.hub.groups.wants("job")
    assert asked == [True]
    assert not node.hub.groups.wants("order")


async def test_it_leaves_no_group_behind(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        await long_poll.wait(0.0)
    assert len(node.hub.groups) == 0


async def test_it_leaves_no_group_behind_after_several_waits_that_were_in_vain(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        for _ in range(3):
            await long_poll.wait(0.0)
    assert len(node.hub.groups) == 0


async def test_it_leaves_no_group_behind_when_its_wait_is_cancelled(node: Node) -> None:
    async def poll() -> None:
        with LongPoll(node.hub.groups, ALL) as long_poll:
            await long_poll.wait(LONG)

    task = asyncio.create_task(poll())
    await let_others_run()
    assert len(node.hub.groups) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(node.hub.groups) == 0


async def test_another_watch_of_the_same_selection_that_ends_takes_nothing_away(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS) as long_poll:
        with LongPoll(node.hub.groups, ORDERS):
            pass
        task = await waiting(long_poll)
        node.publish(an_event("order:1"))
        await let_others_run()
        assert task.done(), "it was not woken"
        assert await task is not None


async def test_a_watch_is_interest_also_between_two_waits(node: Node) -> None:
    with LongPoll(node.hub.groups, ORDERS):
        with LongPoll(node.hub.groups, ORDERS):
            pass
        assert node.hub.groups.wants("order")
