"""gateway/delivery/state/queue.py: what is to be asked for."""

import asyncio

from gateway.core.selectors import Selector
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.state.queue import StateQueue

ONE, TWO = StateQuestion(("job",), Selector()), StateQuestion(("order",), Selector())


async def test_questions_come_in_their_order_and_are_waited_for():
    queue = StateQueue(lambda question: question is ONE)
    assert [queue.knows(question) for question in (ONE, TWO)] == [True, False]
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(TWO)
    queue.add(ONE)
    assert (await waiting, await queue.take()) == (TWO, ONE)


async def test_one_that_was_cleared_has_none():
    queue = StateQueue(lambda question: True)
    queue.add(TWO)
    queue.clear()
    queue.add(ONE)
    assert await queue.take() == ONE
