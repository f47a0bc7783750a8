"""What a poll is answered with: matching events of the log and of the history, as JSON."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from gateway.archive import Archive
from gateway.arrivals import Place
from gateway.errors import EpochChanged, TrimmedError
from gateway.events import Cursor, Position
from gateway.history import History, HistoryEntry, ResetReason
from gateway.selectors import Match, Selector

MAX_ANSWER_BYTES = 1_048_576
"""An answer ends with the event that passes it, and `more`: it is held while the caller reads it."""
SCAN_ENTRIES = 1024
"""How many entries are looked at before the event loop gets its turn."""
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
    """Looks through the log where a reader is behind the history, and through the history."""

    def __init__(self, history: History, archive: Archive) -> None:
        self._history = history
        self._archive = archive

    async def scan(self, selector: Selector, place: Place, limit: int) -> Batch | ResetReason:
        """The first matching events from a place on that was found in this step, or why not.

        Raises LogError where the log is out of reach.
        """
        epoch = self._history.epoch
        found = _Found(self._history, selector, limit)
        try:
            if isinstance(place, Position):
                batch = await self._scan_log(found, place, epoch)
                if isinstance(batch, Batch):
                    return batch
                place = batch
            if isinstance(place, int):
                return await self._scan_history(found, place, epoch)
        except TrimmedError:
            return "trimmed"
        except EpochChanged:
            return "epoch"
        return place

    async def go_on(
        self, selector: Selector, cursor: Cursor, least: Position, limit: int
    ) -> Batch | ResetReason:
        """The same from a cursor on that was good, or from `least` where nothing matched up to there."""
        if cursor.epoch != self._history.epoch:
            return "epoch"
        position = max(cursor.position, least)
        number = self._history.number_at(position)
        return await self.scan(selector, position if number is None else number, limit)

    async def _scan_log(self, found: "_Found", position: Position, epoch: str) -> Batch | int:
        """Through the log: a batch, or the number at which the history goes on."""
        left = SCAN_LOG_ENTRIES
        while (number := self._history.number_at(position)) is None:
            entries = await self._archive.after(position)
            head = self._history.head_position
            known = [entry for entry in entries if entry.position <= head]
            for entry in known:
                if not found.add(entry):
                    return found.batch(position, more=True)
                position = entry.position
            if not known:
                # The log has nothing between: the floor is no event's position.
                position = self._history.floor_position
            left -= len(known)
            if left <= 0:
                return found.batch(position, more=True)
            await asyncio.sleep(0)
            self._check(epoch)
        return number

    async def _scan_history(self, found: "_Found", number: int, epoch: str) -> Batch:
        while (entries := self._history.after(number, SCAN_ENTRIES)) is not None:
            for entry in entries:
                if not found.add(entry):
                    return self._batch_at(found, number, more=True)
                number += 1
            if len(entries) < SCAN_ENTRIES:
                return self._batch_at(found, number, more=False)
            position = entries[-1].position
            await asyncio.sleep(0)
            self._check(epoch)
            if number < self._history.floor:
                # The history went on meanwhile; the log may still have what follows.
                following = await self._scan_log(found, position, epoch)
                if isinstance(following, Batch):
                    return following
                number = following
        raise TrimmedError("The history let go of what follows.")

    def _batch_at(self, found: "_Found", number: int, *, more: bool) -> Batch:
        position = self._history.position(number) or self._history.floor_position
        return found.batch(position, more=more)

    def _check(self, epoch: str) -> None:
        if self._history.epoch != epoch:
            raise EpochChanged("The log has started over.")

    async def latest(self, selector: Selector, limit: int) -> tuple[list[bytes], str]:
        """The newest matching events, oldest first, at most `limit`; and the cursor of the head.

        Looks into the log where the history has too few, not further back than LATEST_LOG_ENTRIES. Raises
        LogError where that is out of reach.
        """
        history = self._history
        cursor = history.cursor(history.head)
        floor = history.floor_position
        entries = history.latest(history.head)
        found = _Found(history, selector, limit)
        is_full = found.add_all(reversed(entries))
        if not is_full and len(entries) < LATEST_LOG_ENTRIES:
            bounds = await self._archive.bounds(head_at_least=floor)
            if bounds.floor < floor:
                older = await self._archive.newest(LATEST_LOG_ENTRIES, history.max_bytes)
                found.add_all(entry for entry in reversed(older) if entry.position <= floor)
        found.events.reverse()
        return found.events, cursor


class _Found:
    """The events that one answer has so far."""

    def __init__(self, history: History, selector: Selector, limit: int) -> None:
        self._history = history
        self._selector = selector
        self._limit = limit
        self._size = 0
        self.events: list[bytes] = []

    def add(self, entry: HistoryEntry) -> bool:
        """Takes the entry in where it matches; says no where it does and the answer is full."""
        match = self._selector.match(entry.event)
        if match is Match.SKIP:
            return True
        if len(self.events) == self._limit or self._size >= MAX_ANSWER_BYTES:
            return False
        json = entry.json if match is Match.DELIVER else self._history.leave_json(entry)
        self.events.append(json)
        self._size += len(json)
        return True

    def add_all(self, entries: Iterable[HistoryEntry]) -> bool:
        """Takes in entries one after the other; says whether the answer is full."""
        return not all(self.add(entry) for entry in entries)

    def batch(self, position: Position, *, more: bool) -> Batch:
        return Batch(self.events, Cursor(self._history.epoch, position), more)
