"""Reading the state of entities, and taking the events after it on from there."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.core.events import Event
from gateway.core.selectors import Selector
from gateway.ports.state import StateReading, StateSource

Items = dict[str, Any]
"""Data by the entity's id."""


def selected(*entities: str) -> Selector:
    """A selection of `type` or `type:id`."""
    pairs = (text.partition(":") for text in entities)
    return Selector(entities=frozenset((kind, entity_id or None) for kind, _, entity_id in pairs))


async def items_of(reading: StateReading) -> dict[str, Items]:
    """All that a reading holds, by entity type; none comes twice."""
    found: dict[str, Items] = {}
    async for entity_type, batch in reading.batches():
        items = found.setdefault(entity_type, {})
        for item in batch:
            assert item.entity_id not in items
            items[item.entity_id] = json.loads(item.data)
    return found


async def state_of(source: StateSource, *entities: str) -> dict[str, Items]:
    """What a reading of these types gives."""
    selector = selected(*entities)
    types = list(dict.fromkeys(text.partition(":")[0] for text in entities))
    async with source.read(types, selector) as reading:
        return await items_of(reading)


def folded(items: Mapping[str, Any], events: Iterable[Event]) -> Items:
    """The items once these events have happened, some of which they may show already."""
    state = dict(items)
    for event in events:
        assert event.entity_id is not None
        if event.action == "delete":
            state.pop(event.entity_id, None)
        else:
            state[event.entity_id] = event.data
    return state
