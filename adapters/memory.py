"""The embedded log: one node, in memory, gone with the process."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from gateway.core.events import Event, Position, Record, json_size
from gateway.core.ring import Ring
from gateway.ports.clock import Clock
from gateway.ports.log import Appended, Bounds, Figure, trimmed, unknown
from gateway.runtime.idempotency import MAX_KEY_BYTES, IdempotencyKeys, closed

_TAIL_BATCH = 1000
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class _LogEntry(NamedTuple):
    """`before` is how many bytes were appended before it, since the start."""

    position: Position
    event: Event
    size: int
    at: float
    before: int


class MemoryLog:
    """An EventLog in this process. Its epoch is drawn anew at each start: nothing outlives the process.

    A position is the wall time in milliseconds and a counter, as Redis Streams number theirs; it grows
    also when the clock is set back. The bounds drop the oldest events, but none that a tail has
    not yet given out; while more than `max_unread` of those wait, or `max_unread_bytes`, `append` waits for
    the tails.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_events: int,
        max_age_seconds: float,
        max_bytes: int,
        max_key_bytes: int = MAX_KEY_BYTES,
        max_unread: int = 10_000,
        max_unread_bytes: int = 4_194_304,
    ) -> None:
        self._clock = clock
        self._max_unread = max_unread
        self._max_unread_bytes = max_unread_bytes
        self._ring: Ring[_LogEntry] = Ring(
            max_entries=max_events, max_age_seconds=max_age_seconds, max_bytes=max_bytes
        )
        self.epoch = "".join(secrets.choice(_ALPHABET) for _ in range(10))
        self._appended_bytes = 0
        self._tails: dict[object, int] = {}
        self._grown = asyncio.Event()
        self._read = asyncio.Event()
        self._closed = False
        self._keys = IdempotencyKeys(clock, max_key_bytes)

    async def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        self._closed = True
        self._grown.set()
        self._read.set()

    async def append(self, events: Sequence[Event]) -> Appended:
        while (appended := self.append_now(events)) is None:
            self._read.clear()
            await self._read.wait()
        return appended

    def append_now(self, events: Sequence[Event]) -> Appended | None:
        if self._closed:
            raise closed()
        read = self._read_by_all()
        if self._is_far_ahead(read):
            return None
        now = self._clock.monotonic()
        positions = self._next_positions(len(events))
        for position, event in zip(positions, events, strict=True):
            size = json_size(event)
            self._ring.add(_LogEntry(position, event, size, now, self._appended_bytes))
            self._appended_bytes += size
        self._ring.trim(now, read)
        self._grown.set()
        return Appended(self.epoch, positions)

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        return await self._keys.append(key, digest, lambda: self.append(events))

    def figures(self) -> Sequence[Figure]:
        return (
            Figure("keys", "Idempotency keys that the log keeps.", len(self._keys)),
            Figure("key_bytes", "Bytes that they take.", self._keys.size_bytes),
        )

    def warnings(self) -> list[str]:
        return []

    def _is_far_ahead(self, read: int) -> bool:
        """Whether a tail has more to give out than may wait for it, where all have read up to `read`."""
        unread = self._ring.head - read
        if not unread:
            return False
        (oldest,) = self._ring.entries_after(read, 1)
        unread_bytes = self._appended_bytes - oldest.before
        return unread > self._max_unread or unread_bytes > self._max_unread_bytes

    def _next_positions(self, count: int) -> list[Position]:
        last = self._ring.head_position
        now_ms = self._clock.wall_ms()
        major, minor = (now_ms, 0) if now_ms > last.major else (last.major, last.minor + 1)
        return [Position(major, minor + index) for index in range(count)]

    async def read(self, after: Position, limit: int) -> list[Record]:
        self._trim()
        number = self._number_at(after)
        return [_record(entry) for entry in self._ring.entries_after(number, limit)]

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        self._trim()
        ring = self._ring
        number = ring.head + 1 if before is None else ring.number_at(before)
        start = max(ring.floor, (number or 0) - 1 - limit)
        entries = ring.entries_after(start, max(0, (number or 0) - 1 - start))
        return [_record(entry) for entry in entries]

    async def bounds(self) -> Bounds:
        self._trim()
        return Bounds(self._ring.floor_position, self._ring.head_position)

    async def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        number = self._number_at(after)
        key = object()
        self._tails[key] = number
        try:
            while not self._closed:
                if number >= self._ring.head:
                    self._grown.clear()
                    await self._grown.wait()
                    continue
                entries = self._ring.entries_after(number, _TAIL_BATCH)
                # A position ahead of the head is one that this log may still come to.
                records = [_record(entry) for entry in entries if entry.position > after]
                if records:
                    yield records
                number += len(entries)
                self._tails[key] = number
                self._read.set()
        finally:
            del self._tails[key]
            self._read.set()

    def _number_at(self, after: Position) -> int:
        """The number of what is at `after`; the head's for a position ahead of it. Raises as `read` does."""
        number = self._ring.number_at(after)
        if number is not None:
            return number
        if after > self._ring.head_position:
            return self._ring.head
        raise trimmed(after) if after < self._ring.floor_position else unknown(after)

    def _read_by_all(self) -> int:
        return min(self._tails.values(), default=self._ring.head)

    def _trim(self) -> None:
        self._ring.trim(self._clock.monotonic(), self._read_by_all())


def _record(entry: _LogEntry) -> Record:
    return Record(entry.position, entry.event, entry.position.major)
