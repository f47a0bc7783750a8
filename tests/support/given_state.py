"""A source of state that tells what a test gives it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from gateway.core.events import Cursor
from gateway.core.selectors import Selector
from gateway.delivery.state.parts import PartsBuilder, StateParts
from gateway.delivery.state.question import StateQuestion
from gateway.ports.state import StateItem, StateUnknown


class GivenState:
    """A StateSource and its readings in one: items by type, at a cursor. `reads` counts its readings.

    With a `gate` whoever asks waits until that is set; with a `failure` it gets that.
    """

    def __init__(self, cursor: Cursor, **items: Sequence[StateItem]) -> None:
        self.cursor = cursor
        self.items: dict[str, Sequence[StateItem]] = dict(items)
        self.version: str | None = "v"
        self.as_of_ms = 1_764_200_000_000
        self.reads = 0
        self.gate: asyncio.Event | None = None
        self.failure: StateUnknown | None = None
        self._types: Sequence[str] = ()

    def knows(self, entity_type: str, selector: Selector) -> bool:
        return entity_type in self.items

    @asynccontextmanager
    async def read(self, entity_types: Sequence[str], selector: Selector) -> AsyncIterator["GivenState"]:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self._types = entity_types
        yield self

    async def batches(self) -> AsyncIterator[tuple[str, Sequence[StateItem]]]:
        for entity_type in self._types:
            yield entity_type, self.items[entity_type]


def parts_of(
    question: StateQuestion, cursor: Cursor, items: Mapping[str, Sequence[StateItem]], part_bytes: int = 200
) -> StateParts:
    """The state of what is asked for, in parts of a few items."""
    builder = PartsBuilder(question, cursor, part_bytes)
    for entity_type in question.entity_types:
        for _ in builder.adding(entity_type, items.get(entity_type, ())):
            pass
    return builder.finished(1_764_200_000_000, "v", 0.0)
