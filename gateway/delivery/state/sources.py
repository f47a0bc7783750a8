"""Several sources of state as one: each entity type is told by the first that knows it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.core.selectors import Selector
from gateway.ports.state import StateItem, StateReading, StateSource, StateUnknown


class StateSources:
    """A StateSource of those in `sources`."""

    def __init__(self, sources: Sequence[StateSource]) -> None:
        self._sources = tuple(sources)

    def knows(self, entity_type: str, selector: Selector) -> bool:
        """Whether any of them does."""
        return self._of(entity_type, selector) is not None

    @asynccontextmanager
    async def read(self, entity_types: Sequence[str], selector: Selector) -> AsyncIterator[StateReading]:
        """What each of them tells of its types, at the oldest of their cursors.

        A stream from there may repeat what the others show, and misses nothing of any. Raises StateUnknown as
        they do, and where they tell of histories that are not the same.
        """
        of: dict[StateSource, list[str]] = {}
        for entity_type in entity_types:
            source = self._of(entity_type, selector)
            if source is None:
                raise StateUnknown(f"Nothing knows the state of {entity_type} any more.")
            of.setdefault(source, []).append(entity_type)
        async with AsyncExitStack() as stack:
            readings = [
                await stack.enter_async_context(source.read(types, selector)) for source, types in of.items()
            ]
            yield readings[0] if len(readings) == 1 else _Together(readings)

    def _of(self, entity_type: str, selector: Selector) -> StateSource | None:
        return next((source for source in self._sources if source.knows(entity_type, selector)), None)


class _Together:
    """Readings of several sources as one StateReading."""

    def __init__(self, readings: Sequence[StateReading]) -> None:
        if len({reading.cursor.epoch for reading in readings}) > 1:
            raise StateUnknown("The log has started over: ask again.")
        self._readings = readings
        self.cursor = min(reading.cursor for reading in readings)
        self.as_of_ms = min(reading.as_of_ms for reading in readings)
        versions = [reading.version for reading in readings if reading.version is not None]
        self.version = " ".join(versions) if len(versions) == len(readings) else None

    async def batches(self) -> AsyncIterator[tuple[str, Sequence[StateItem]]]:
        for reading in self._readings:
            async for batch in reading.batches():
                yield batch
