"""Who reads the log next."""

import asyncio

import pytest

from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.subscriber import Subscriber
from tests.support.loop import let_others_run
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport


@pytest.fixture
def queue() -> ReplayQueue:
    return ReplayQueue()


@pytest.fixture
def three(scheduler: ManualScheduler) -> list[Subscriber]:
    return [Subscriber(None, 0, RecordingTransport(scheduler)) for _ in range(3)]


async def test_the_one_that_waits_longest_comes_first(queue: ReplayQueue, three: list[Subscriber]) -> None:
    for subscriber in (*three, three[0]):
        queue.add(subscriber)
    assert len(queue) == 3
    assert [await queue.take() for _ in three] == three
    assert len(queue) == 0


async def test_who_asks_while_none_waits_gets_the_next_that_comes(
    queue: ReplayQueue, three: list[Subscriber]
) -> None:
    asking = [asyncio.create_task(queue.take()) for _ in range(2)]
    await let_others_run()
    for subscriber in three:
        queue.add(subscriber)
    assert [await task for task in asking] == three[:2]
    assert len(queue) == 1


async def test_one_that_is_dropped_is_not_given(queue: ReplayQueue, three: list[Subscriber]) -> None:
    for subscriber in three:
        queue.add(subscriber)
    for _ in range(2):
        queue.drop(three[1])
    assert [await queue.take() for _ in range(2)] == [three[0], three[2]]
    assert len(queue) == 0


async def test_one_that_is_served_waits_again_only_once_it_is_done(
    queue: ReplayQueue, three: list[Subscriber]
) -> None:
    one, other, _ = three
    queue.add(one)
    assert await queue.take() is one
    queue.add(one)
    assert len(queue) == 0
    queue.add(other)
    queue.done(one, again=True)
    assert [await queue.take() for _ in range(2)] == [other, one]
    queue.done(one, again=False)
    assert len(queue) == 0
    queue.add(one)
    assert await queue.take() is one
