"""The state of the entities that shared routes list: the items of their last good answers."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from adapters.upstream.poller import Poller
from adapters.upstream.source import UpstreamSource
from gateway.core.errors import LogError, UpstreamError
from gateway.core.events import Cursor
from gateway.core.selectors import Selector
from gateway.ports.clock import Clock
from gateway.ports.legacy_lists import ListName
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.state import StateItem, StateReading, StateUnknown
from gateway.ports.upstreams import HeldBack, Snapshot

_BATCH_ITEMS = 50
_BATCH_BYTES = 65_536


class RouteStates:
    """A StateSource: the shared routes of `source` whose changes are events.

    Of a route whose path has parameters it knows what a selection asks for by their values.
    """

    def __init__(self, source: UpstreamSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    def knows(self, entity_type: str, selector: Selector) -> bool:
        """Whether lists of a route hold what is asked for of the type."""
        return bool(self._source.lists_of(entity_type, selector))

    @asynccontextmanager
    async def read(self, entity_types: Sequence[str], selector: Selector) -> AsyncIterator[StateReading]:
        """The answers of now of the types' routes; where an upstream was not asked lately, it is.

        Of one whose answer can't be compared it is the last that could. Raises StateUnknown where an upstream
        gives none that callers would be answered with.
        """
        lists = [
            await self._listed(route, name)
            for entity_type in entity_types
            for route, name in self._source.lists_of(entity_type, selector)
        ]
        yield _Reading(lists, selector, self._clock)

    async def _listed(self, route: LegacyRoute, name: ListName) -> "_Listed":
        poller = self._source.find(route, name)
        if poller is None:
            raise StateUnknown(f"{route.path} has no room for one more list now: ask again.")
        try:
            # A poll that is put off shows a write later: so do its events.
            with suppress(HeldBack):
                await poller.answer()
        except UpstreamError as error:
            raise StateUnknown(f"{route.path} gives no list now: {error.detail}") from error
        except LogError as error:
            raise StateUnknown(error.detail) from error
        if poller.last_good is None:
            raise StateUnknown(f"{route.path} has given no list yet that can be told.")
        return _Listed(route, poller, poller.last_good)


class _Listed(NamedTuple):
    """One route's list."""

    route: LegacyRoute
    poller: Poller
    snapshot: Snapshot


class _Reading:
    """Some routes' lists as a StateReading, at the oldest of their positions."""

    def __init__(self, lists: Sequence[_Listed], selector: Selector, clock: Clock) -> None:
        cursors = [Cursor.parse(listed.snapshot.cursor) for listed in lists]
        known = [cursor for cursor in cursors if cursor is not None]
        if len({cursor.epoch for cursor in known}) != 1:
            raise StateUnknown("The log has started over: ask again.")
        self.cursor = min(known)
        self.version: str | None = " ".join(
            f"{listed.poller.route.name} {listed.snapshot.digest}" for listed in lists
        )
        oldest = min(listed.snapshot.received_at for listed in lists)
        self.as_of_ms = clock.wall_ms() - max(0, round((clock.monotonic() - oldest) * 1000))
        self._lists = lists
        self._selector = selector

    async def batches(self) -> AsyncIterator[tuple[str, Sequence[StateItem]]]:
        for listed in self._lists:
            items = await listed.poller.items_of(listed.snapshot)
            # A list has its items by their keys: who asks for one of ten thousand costs one.
            for batch in _batches(items.data(self._selector.ids_of(listed.route.entity))):
                yield listed.route.entity, batch


def _batches(items: Iterator[tuple[str, bytes]]) -> Iterator[list[StateItem]]:
    """The items, some at a time: an item is decoded for its key, and a batch is made in one piece."""
    batch: list[StateItem] = []
    size = 0
    for key, data in items:
        batch.append(StateItem(key, data))
        size += len(data)
        if len(batch) >= _BATCH_ITEMS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
