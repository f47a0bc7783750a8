"""Entity types that are read whole, once for all who select different parts of them at about the time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from operator import attrgetter
from weakref import WeakValueDictionary

from cachetools import TTLCache

from gateway.core.narrowing import choices_of, is_part
from gateway.core.selectors import Selector
from gateway.delivery.pace import Pace
from gateway.delivery.state.indexed import IndexedItems, indexed_of
from gateway.delivery.state.question import StateQuestion
from gateway.ports.clock import Clock
from gateway.ports.state import StateItem, StateReading, StateSource
from gateway.runtime.slices import Slices

_BATCH_ITEMS = 50
_MOST_TOO_LARGE = 256

Types = tuple[str, ...]


class _Whole:
    """What a reading of some types gave. It is the `number`th one, and was asked for at `read_at`."""

    def __init__(self, items: dict[str, IndexedItems]) -> None:
        self.items = items
        self.size = sum(of_type.size for of_type in items.values())
        self.lock = asyncio.Lock()

    def note(self, reading: StateReading, number: int, read_at: float) -> None:
        """That reading has these items."""
        self.cursor = reading.cursor
        self.as_of_ms = reading.as_of_ms
        self.version = reading.version
        self.number = number
        self.read_at = read_at


class WholeStates:
    """Asks `source` for the whole of types of which somebody selects a part, and keeps it for a while.

    The types of a question are read together, since they are of one moment. Those that take more than there
    is room for are read as they are asked for, as are ids alone. `begun` counts the readings.
    """

    def __init__(self, source: StateSource, clock: Clock, slices: Slices, pace: Pace) -> None:
        self._source = source
        self._clock = clock
        self._slices = slices
        self._pace = pace
        self._kept: TTLCache[Types, _Whole] = TTLCache(
            pace.state_whole_bytes, pace.state_whole_seconds, clock.monotonic, attrgetter("size")
        )
        self._too_large: TTLCache[Types, bool] = TTLCache(
            _MOST_TOO_LARGE, pace.state_too_large_seconds, clock.monotonic
        )
        self._locks: WeakValueDictionary[Types, asyncio.Lock] = WeakValueDictionary()
        self.begun = 0

    @property
    def bytes(self) -> int:
        """What all that is kept takes."""
        self._kept.expire()
        return int(self._kept.currsize)

    def clear(self) -> None:
        """Keeps nothing any more."""
        self._kept.clear()

    @asynccontextmanager
    async def read(self, question: StateQuestion, after: int = 0) -> AsyncIterator[StateReading]:
        """What is asked for, and perhaps more: see gateway.ports.state.StateSource.read.

        It is of about now, and of a reading that began after the one of number `after`.
        """
        whole = await self._whole(question.entity_types, after) if self._is_shared(question) else None
        if whole is not None:
            yield _Part(whole, question.selector, self._slices)
        else:
            async with self._source.read(question.entity_types, question.selector) as reading:
                yield reading

    def _is_shared(self, question: StateQuestion) -> bool:
        types, selector = question
        return any(is_part(selector, named) and selector.ids_of(named) is None for named in types) and all(
            self._source.knows(named, _all_of((named,))) for named in types
        )

    async def _whole(self, types: Types, after: int) -> _Whole | None:
        """The items of these types, of about now; None where they take too much."""
        lock = self._locks.setdefault(types, asyncio.Lock())
        async with lock:
            if types in self._too_large:
                return None
            whole = self._kept.get(types)
            if whole is None or whole.number <= after or not self._is_of_now(whole):
                whole = await self._read(types, whole)
                if whole is None:
                    self._kept.pop(types, None)
                    self._too_large[types] = True
                    return None
            self._kept[types] = whole
            return whole

    def _is_of_now(self, whole: _Whole) -> bool:
        return self._clock.monotonic() < whole.read_at + self._pace.state_fresh_seconds

    async def _read(self, types: Types, before: _Whole | None) -> _Whole | None:
        self.begun += 1
        number, read_at = self.begun, self._clock.monotonic()
        async with self._source.read(types, _all_of(types)) as reading:
            if before is not None and before.version == reading.version is not None:
                whole = before
            else:
                items = {named: IndexedItems() for named in types}
                async for entity_type, batch in reading.batches():
                    items[entity_type].extend(batch)
                    if sum(of_type.size for of_type in items.values()) > self._pace.state_whole_bytes:
                        return None
                whole = _Whole(items)
        whole.note(reading, number, read_at)
        return whole


class _Part:
    """Of a whole what a selection may match, as a StateReading."""

    def __init__(self, whole: _Whole, selector: Selector, slices: Slices) -> None:
        self.cursor = whole.cursor
        self.as_of_ms = whole.as_of_ms
        self.version = whole.version
        self._whole = whole
        self._selector = selector
        self._slices = slices

    async def batches(self) -> AsyncIterator[tuple[str, Sequence[StateItem]]]:
        for entity_type, items in self._whole.items.items():
            choices, paths = indexed_of(choices_of(self._selector, entity_type))
            async with self._whole.lock:
                indexes = items.known(paths)
                missing = paths - indexes.keys()
                if missing:
                    await self._slices.run(items.indexing(missing))
                    indexes |= items.known(missing)
            candidates = items.candidates(choices, indexes)
            while batch := list(islice(candidates, _BATCH_ITEMS)):
                yield entity_type, batch


def _all_of(types: Types) -> Selector:
    return Selector(entities=frozenset((named, None) for named in types))
