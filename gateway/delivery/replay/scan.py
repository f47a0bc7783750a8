"""What a poll is answered with: matching events of the log and of the history, as JSON."""

import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import NamedTuple

from gateway.core.credentials import Credentials
from gateway.core.errors import EpochChanged, PlaceLost, TrimmedError
from gateway.core.event_fields import Fields
from gateway.core.events import ORIGIN, Cursor, Position
from gateway.core.history import History, HistoryEntry, ResetReason
from gateway.core.revocations import Revocations
from gateway.core.selectors import Match, Selector
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.resume import Place
from gateway.runtime.slices import Slices

MAX_ANSWER_BYTES = 1_048_576
"""An answer ends with the event that passes it, and `more`: it is held while the caller reads it."""
SCAN_ENTRIES = 1024
"""How many entries are taken out of the history at once."""
SCAN_LOG_ENTRIES = 20_000
"""How many events of the log one poll looks at: it is answered then with what there is, and `more`."""
LATEST_LOG_ENTRIES = 10_000
"""How far back in the log the newest matching events are looked for."""


class Batch(NamedTuple):
    """Matching events as JSON, the cursor up to which all was looked at, and whether more follow."""

    events: list[bytes]
    cursor: Cursor
    more: bool


class Scanner:
    """Looks through the log where a reader is behind the history, and through the history.

    All that it looks at, it looks at in `slices`. A caller that goes away ends its scan with the next one.
    Nothing that comes after one of the `revocations` is for a caller whose credentials that covers: every
    method raises InvalidToken where there is nothing before it.
    """

    def __init__(
        self, history: History, archive: LogArchive, slices: Slices, revocations: Revocations
    ) -> None:
        self._revocations = revocations
        self._history = history
        self._archive = archive
        self._slices = slices

    async def scan(
        self,
        selector: Selector,
        place: Place,
        limit: int,
        credentials: Credentials | None = None,
        fields: Fields | None = None,
    ) -> Batch | ResetReason:
        """The first matching events from a place on that was found in this step, or why not.

        Where there are none, nothing that the history has by now was overlooked: whoever waits from this
        step on misses none. Raises LogError where the log is out of reach.
        """
        self._revocations.check(credentials)
        found = _Found(self._history, selector, limit, credentials, fields)
        batch = await self._scan(found, place)
        if not found.events:
            # It may have come meanwhile: whoever would wait now is to be told.
            self._revocations.check(credentials)
        return batch

    async def _scan(self, found: "_Found", place: Place) -> Batch | ResetReason:
        epoch = self._history.epoch
        try:
            if isinstance(place, Position):
                batch = await self._scan_log(found, place, epoch)
                if isinstance(batch, Batch):
                    return batch
                place = batch
            if isinstance(place, int):
                return await self._scan_history(found, place, epoch)
        except PlaceLost as lost:
            return lost.reason
        return place

    async def go_on(
        self,
        selector: Selector,
        cursor: Cursor,
        least: Position,
        limit: int,
        credentials: Credentials | None = None,
        fields: Fields | None = None,
    ) -> Batch | ResetReason:
        """The same from a cursor on that was good, or from `least` where nothing matched up to there."""
        if cursor.epoch != self._history.epoch:
            return "epoch"
        position = max(cursor.position, least)
        number = self._history.number_at(position)
        place = position if number is None else number
        return await self.scan(selector, place, limit, credentials, fields)

    async def _scan_log(self, found: "_Found", position: Position, epoch: str) -> Batch | int:
        """Through the log: a batch, or the number at which the history goes on."""
        left = SCAN_LOG_ENTRIES
        while (number := self._history.number_at(position)) is None:
            entries = await self._archive.after(position)
            head = self._history.head_position
            known = [entry for entry in entries if entry.position <= head]
            position = await self._look(found, known, position, epoch)
            if found.is_full:
                return found.batch(epoch, position, more=True)
            if not known:
                # The log has nothing between: the floor is no event's position.
                position = self._history.floor_position
            left -= len(known)
            if left <= 0:
                return found.batch(epoch, position, more=True)
        return number

    async def _scan_history(self, found: "_Found", number: int, epoch: str) -> Batch:
        position = self._history.position(number)
        while position is not None and (entries := self._history.after(number, SCAN_ENTRIES)) is not None:
            if not entries:
                return found.batch(epoch, position, more=False)
            position = await self._look(found, entries, position, epoch)
            if found.is_full:
                return found.batch(epoch, position, more=True)
            number += len(entries)
            if number < self._history.floor:
                # The history went on meanwhile; the log may still have what follows.
                following = await self._scan_log(found, position, epoch)
                if isinstance(following, Batch):
                    return following
                number = following
        raise TrimmedError("The history let go of what follows.")

    async def _look(
        self, found: "_Found", entries: Iterable[HistoryEntry], position: Position, epoch: str
    ) -> Position:
        """Looks at entries that follow `position`, until the answer is full; gives that of the last one.

        Raises EpochChanged where the history has started over meanwhile.
        """
        found.last = position
        found.end = self._revocations.end_of(found.credentials, epoch)
        await self._slices.run(found.take(entries))
        if self._history.epoch != epoch:
            raise EpochChanged("The log has started over.")
        return found.last

    async def latest(
        self,
        selector: Selector,
        limit: int,
        credentials: Credentials | None = None,
        fields: Fields | None = None,
    ) -> tuple[list[bytes], str]:
        """The newest matching events, oldest first, at most `limit`; and the cursor of the head.

        Looks into the log where the history has too few, not further back than LATEST_LOG_ENTRIES. Raises
        LogError where that is out of reach.
        """
        self._revocations.check(credentials)
        history = self._history
        epoch, floor = history.epoch, history.floor_position
        cursor = history.cursor(history.head, selector.scope_text)
        found = _Found(history, selector, limit, credentials, fields)
        async with contextlib.aclosing(self._newest_first(floor)) as pages:
            async for page in pages:
                await self._look(found, reversed(page), floor, epoch)
                if found.is_full:
                    break
        found.events.reverse()
        return found.events, cursor

    async def _newest_first(self, floor: Position) -> AsyncGenerator[list[HistoryEntry]]:
        """What the history holds, and then what the log does up to `floor`, page by page backwards."""
        entries = self._history.latest(self._history.head)
        yield entries
        left = LATEST_LOG_ENTRIES - len(entries)
        if left > 0 and (await self._archive.bounds(head_at_least=floor)).floor < floor:
            before = entries[0].position if entries else None
            async with contextlib.aclosing(self._archive.newest_first(left, before)) as pages:
                async for page in pages:
                    yield [entry for entry in page if entry.position <= floor]


class _Found:
    """The events that one answer has so far.

    `last` is the position of the last entry that the answer covers; `is_full` says that the next
    one matched too, and there was no room for it, or that it comes after `end`, where these credentials were
    revoked.
    """

    def __init__(
        self,
        history: History,
        selector: Selector,
        limit: int,
        credentials: Credentials | None,
        fields: Fields | None,
    ) -> None:
        self.credentials = credentials
        self._fields = fields
        self.end: Position | None = None
        self._history = history
        self._selector = selector
        self._limit = limit
        self._size = 0
        self.events: list[bytes] = []
        self.last = ORIGIN
        self.is_full = False

    def take(self, entries: Iterable[HistoryEntry]) -> Iterator[None]:
        """Takes in entries that match, a step for each that it looks at, until there is no room."""
        for entry in entries:
            is_after_end = self.end is not None and entry.position > self.end
            self.is_full = is_after_end or not self._add(entry)
            if self.is_full:
                return
            self.last = entry.position
            yield

    def _add(self, entry: HistoryEntry) -> bool:
        """Takes the entry in where it matches; says no where it does and the answer is full."""
        match = self._selector.match(entry.event)
        if match is Match.SKIP:
            return True
        if len(self.events) == self._limit or self._size >= MAX_ANSWER_BYTES:
            return False
        json = self._history.json_of(entry, match, self._selector, self._fields)
        self.events.append(json)
        self._size += len(json)
        return True

    def batch(self, epoch: str, position: Position, *, more: bool) -> Batch:
        return Batch(self.events, Cursor(epoch, position, self._selector.scope_text), more)
