"""What nodes have counted, over every store that they may share (gateway/migration/node_summaries.py)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.migration.node_summaries import PAST_NAME
from tests.conformance.shared_stores import SHARED_STORES, Shared, SharedFactory
from tests.support.clock import ManualClock
from tests.support.summaries import RETAIN_SECONDS, CountingNode

COUNT = 5


@pytest.fixture(params=SHARED_STORES.values(), ids=SHARED_STORES.keys())
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Shared]:
    factory: SharedFactory = request.param
    async with factory() as shared:
        yield shared


def nodes(shared: Shared, clock: ManualClock) -> list[CountingNode]:
    return [CountingNode(shared.store, clock, f"node {number}") for number in range(COUNT)]


async def ticks(each: list[CountingNode], polls: int = 0) -> None:
    """A second's work of all at once."""
    await asyncio.gather(*(node.tick(polls) for node in each))


async def test_nodes_that_come_at_once_are_all_in_the_sum_of_each(shared: Shared) -> None:
    clock = ManualClock()
    each = nodes(shared, clock)
    await ticks(each, 1)
    clock.advance(1.0)
    await ticks(each, 1)
    clock.advance(1.0)
    assert [await node.sum() for node in each] == [2 * COUNT] * COUNT
    assert [node.summaries.leads for node in each].count(True) == 1


async def test_one_that_is_gone_is_folded_once_whoever_does_it(shared: Shared) -> None:
    clock = ManualClock()
    gone, *others = nodes(shared, clock)
    await ticks([gone, *others], 3)
    # By the server's clock: the lease may be that of the one that is gone.
    await shared.let_pass(3.1)
    for seconds in (1.0, 11.0, RETAIN_SECONDS, 1.0, 1.0, 1.0):
        clock.advance(seconds)
        await ticks(others)
    clock.advance(1.0)
    assert [await node.sum() for node in others] == [3 * COUNT] * (COUNT - 1)
    for node in others:
        assert PAST_NAME in await node.gone()
