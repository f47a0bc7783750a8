"""gateway/delivery/state/sources.py: several sources as one."""

import pytest

from gateway.core.events import Cursor, Position
from gateway.core.selectors import Selector
from gateway.delivery.state.sources import StateSources
from gateway.ports.state import StateItem, StateUnknown
from tests.support.given_state import GivenState


def given(minor: int, version: str | None = "v", epoch: str = "e", **items: list[StateItem]) -> GivenState:
    source = GivenState(Cursor(epoch, Position(7, minor)), **items)
    source.version = version
    source.as_of_ms = 1000 - minor
    return source


ONE, TWO = StateItem("1", b"{}"), StateItem("2", b"{}")


async def read(sources: StateSources, *entity_types: str):
    async with sources.read(entity_types, Selector()) as reading:
        told = [(entity_type, *items) async for entity_type, items in reading.batches()]
        return reading.cursor.position.minor, reading.version, reading.as_of_ms, told


async def test_each_type_is_told_by_the_first_that_knows_it():
    sources = StateSources([given(3, order=[ONE]), given(2, order=[TWO], job=[TWO])])
    assert [sources.knows(entity_type, Selector()) for entity_type in ("order", "job", "bill")] == [
        True,
        True,
        False,
    ]
    assert await read(sources, "order") == (3, "v", 997, [("order", ONE)])


async def test_several_are_told_at_the_oldest_of_their_cursors():
    sources = StateSources([given(2, "a", job=[TWO]), given(5, "b", order=[ONE])])
    assert await read(sources, "job", "order") == (2, "a b", 995, [("job", TWO), ("order", ONE)])


async def test_where_one_has_no_version_there_is_none():
    sources = StateSources([given(2, None, job=[TWO]), given(5, "b", order=[ONE])])
    assert (await read(sources, "job", "order"))[1] is None


async def test_two_histories_are_no_state():
    sources = StateSources([given(2, epoch="f", job=[TWO]), given(5, order=[ONE])])
    with pytest.raises(StateUnknown):
        await read(sources, "job", "order")


async def test_what_is_known_no_more_is_not_told():
    with pytest.raises(StateUnknown):
        await read(StateSources([]), "job")
