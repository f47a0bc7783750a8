"""A log that keeps its promises and not one thing more."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Event, Position, Record
from gateway.ports.log import Appended, Bounds, trimmed, unknown
from gateway.runtime.idempotency import IdempotencyKeys
from tests.support.clock import ManualClock


class AwkwardLog:
    """An EventLog that does whatever its contract allows.

    Positions jump; what is over the bound is dropped at once, whoever reads; a tail gives one record at a
    time, is slow by turns, and is lost after every few records; append and read take their time.
    """

    def __init__(self, *, max_events: int) -> None:
        self._max_events = max_events
        self._records: list[Record] = []
        self._floor = ORIGIN
        self._head = ORIGIN
        self._changed = asyncio.Condition()
        self._given = 0
        self._is_closed = False
        self._keys = IdempotencyKeys(ManualClock())

    @property
    def epoch(self) -> str:
        return "awkward0"

    async def start(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    async def append(self, events: Sequence[Event]) -> Appended:
        await asyncio.sleep(0)
        async with self._changed:
            if self._is_closed:
                raise LogError("The log is closed.")
            positions = [self._next_position(event) for event in events]
            self._changed.notify_all()
        await asyncio.sleep(0)
        return Appended(self.epoch, positions)

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        return await self._keys.append(key, digest, lambda: self.append(events))

    def _next_position(self, event: Event) -> Position:
        last = self._head
        # Sometimes the next minor, sometimes a later major with a minor below the last.
        is_jump = len(self._records) % 3 == 0
        self._head = Position(last.major + 7, 2) if is_jump else Position(last.major, last.minor + 5)
        self._records.append(Record(self._head, event, self._head.major))
        while len(self._records) > self._max_events:
            self._floor = self._records.pop(0).position
        return self._head

    async def read(self, after: Position, limit: int) -> list[Record]:
        await asyncio.sleep(0)
        self._check_place(after)
        return self._after(after)[:limit]

    def _check_place(self, after: Position) -> None:
        held = {self._floor, *(record.position for record in self._records)}
        if self._floor < after < self._head and after not in held:
            raise unknown(after)

    def _after(self, after: Position) -> list[Record]:
        if after < self._floor:
            raise trimmed(after)
        return [record for record in self._records if record.position > after]

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        await asyncio.sleep(0)
        return [record for record in self._records if before is None or record.position < before][-limit:]

    async def bounds(self) -> Bounds:
        await asyncio.sleep(0)
        return Bounds(self._floor, self._head)

    async def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        self._check_place(after)
        while not self._is_closed:
            async with self._changed:
                while not self._after(after) and not self._is_closed:
                    await self._changed.wait()
            for record in self._after(after)[:1]:
                after = record.position
                yield [record]
                await self._stumble()

    async def _stumble(self) -> None:
        self._given += 1
        if self._given % 3 == 0:
            for _ in range(5):
                await asyncio.sleep(0)
        if self._given % 4 == 0:
            raise LogError("The connection is gone.")
