"""A log whose server a test holds: it is out of reach, drops events, starts over when told to."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Sequence

from gateway.core.errors import EpochChanged, LogError
from gateway.core.events import ORIGIN, Event, Position, Record
from gateway.ports.log import Appended, Bounds, trimmed, unknown
from tests.support.events import a_record


class ShakyLog:
    """An EventLog that holds everything until it is told otherwise. Its N-th event has the position `N-0`.

    `reads` counts the calls of `read`, `looks` those of `latest`, `asked` those of `bounds`. While `may_read`
    is not set, reads wait, bounds while `may_tell` is not, and tails while `may_tail` is not.
    """

    def __init__(self) -> None:
        self._epoch = "e"
        self._records: list[Record] = []
        self._floor = self._head = ORIGIN
        self._wakers: set[asyncio.Event] = set()
        self._is_lost = self._is_closed = False
        self.reads = self.looks = self.asked = 0
        self.may_tell = asyncio.Event()
        self.may_tell.set()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.may_tail = asyncio.Event()
        self.may_tail.set()

    # What a test does with it

    def put(self, record: Record) -> None:
        """Another node has appended a record."""
        self._records.append(record)
        self._head = record.position
        self._wake()

    def put_events(self, *events: Event) -> None:
        for event in events:
            self.put(a_record(self._head.major + 1, event))

    def trim_to(self, position: Position) -> None:
        """Drops everything up to `position`, read or not."""
        self._floor = max(self._floor, min(position, self._head))
        self._records = [record for record in self._records if record.position > self._floor]
        self._wake()

    def start_over(self, epoch: str) -> None:
        """Comes back without what it held, as another history."""
        self._epoch = epoch
        self._records = []
        self._floor = self._head = ORIGIN
        self._wake()

    def lose(self) -> None:
        """Its server can't be reached."""
        self._is_lost = True
        self._wake()

    def find(self) -> None:
        """Its server can be reached again."""
        self._is_lost = False

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()

    # The log

    @property
    def epoch(self) -> str:
        return self._epoch

    async def start(self) -> None:
        self._check()

    async def close(self) -> None:
        self._is_closed = True
        self._wake()

    async def append(self, events: Sequence[Event]) -> Appended:
        self._check()
        self.put_events(*events)
        new = self._records[len(self._records) - len(events) :]
        return Appended(self._epoch, [record.position for record in new])

    async def read(self, after: Position, limit: int) -> list[Record]:
        epoch = self._epoch
        self.reads += 1
        await self.may_read.wait()
        await asyncio.sleep(0)
        self._check()
        return self._after(epoch, after, limit)

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        self.looks += 1
        await asyncio.sleep(0)
        self._check()
        end = bisect_left(self._records, before, key=lambda record: record.position) if before else None
        return self._records[:end][-limit:]

    async def bounds(self) -> Bounds:
        self.asked += 1
        await self.may_tell.wait()
        await asyncio.sleep(0)
        self._check()
        return Bounds(self._floor, self._head)

    async def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        epoch = self._epoch
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            while not self._is_closed:
                self._check()
                records = self._after(epoch, after, 1000)
                if records:
                    after = records[-1].position
                    yield records
                else:
                    waker.clear()
                    await waker.wait()
                    await self.may_tail.wait()
        finally:
            self._wakers.discard(waker)

    def _check(self) -> None:
        if self._is_lost:
            raise LogError("The server is gone.")

    def _after(self, epoch: str, after: Position, limit: int) -> list[Record]:
        if epoch != self._epoch:
            raise EpochChanged("The log has started over.")
        if after < self._floor:
            raise trimmed(after)
        start = bisect_right(self._records, after, key=lambda record: record.position)
        if self._floor < after < self._head and self._records[start - 1].position != after:
            raise unknown(after)
        return self._records[start : start + limit]
