"""Reads the log for those whose cursor is older than this node's history.

Many come at once with cursors that lie close together, as when another node has died. What was read last is
kept for a while, bounded by bytes, and a reader whose position lies within it goes on in it.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from itertools import chain
from typing import NamedTuple

from gateway.core.errors import EpochChanged
from gateway.core.events import ORIGIN, Position, Record
from gateway.core.history import History, HistoryEntry
from gateway.delivery.pace import USUAL, Pace
from gateway.ports.clock import Clock
from gateway.ports.log import Bounds, EventLog, unknown
from gateway.runtime.log_pages import PageSize, newest_first
from gateway.runtime.slices import Slices


class _Segment(NamedTuple):
    """The entries that follow one another in the log after `after`, and what they take."""

    after: Position
    entries: list[HistoryEntry]
    size: int


class LogArchive:
    """The log as older entries of the history. At most `reads_at_once` reads run at a time.

    What was read becomes entries in `slices`.
    """

    def __init__(
        self, log: EventLog, history: History, clock: Clock, slices: Slices, pace: Pace = USUAL
    ) -> None:
        self._log = log
        self._history = history
        self._clock = clock
        self._turn = asyncio.Semaphore(pace.reads_at_once)
        self._asking = asyncio.Lock()
        self._bounds = Bounds(ORIGIN, ORIGIN)
        self._bounds_epoch = ""
        self._bounds_until = 0.0
        self._segments: OrderedDict[Position, _Segment] = OrderedDict()
        self._segments_epoch = ""
        self._kept_bytes = 0
        self._page = PageSize()
        self._slices = slices
        self._pace = pace

    @property
    def epoch(self) -> str:
        """The log's epoch; the history's is the same, but for the moment in which the history starts over."""
        return self._log.epoch

    async def bounds(self, *, head_at_least: Position) -> Bounds:
        """What the log holds, as it was at most a second ago; asked anew where its head was below that then.

        Raises LogError.
        """
        # One asks for all: readers come in waves.
        async with self._asking:
            is_known = self._bounds_epoch == self._log.epoch and self._clock.monotonic() < self._bounds_until
            if not is_known or self._bounds.head < head_at_least:
                epoch = self._log.epoch
                self._bounds = await self._log.bounds()
                self._bounds_epoch = epoch
                self._bounds_until = self._clock.monotonic() + self._pace.bounds_seconds
            return self._bounds

    async def after(self, position: Position) -> list[HistoryEntry]:
        """The first entries after `position`, some hundreds at most; none at the log's head.

        Raises TrimmedError where the log has dropped some of them, UnknownPosition where it never held
        `position`, EpochChanged where that is not of its epoch any more, LogError where it is out of reach.
        """
        epoch = self._epoch()
        entries = self._kept(position)
        if entries is not None:
            return entries
        async with self._turn:
            entries = self._kept(position)
            if entries is not None and self._epoch() == epoch:
                return entries
            self._check(epoch)
            records = await self._log.read(position, min(self._pace.records_a_read, self._page.records))
            self._page.learn(records)
            entries = await self._entries(records, position, epoch)
            self._keep(position, entries)
            return entries

    async def newest_first(self, count: int, before: Position | None) -> AsyncGenerator[list[HistoryEntry]]:
        """The newest entries of the log, at most `count`, from those right before `before` backwards.

        Page by page, each with its entries oldest first. Raises as `after` does.
        """
        epoch = self._epoch()
        async with contextlib.aclosing(newest_first(self._log, count, before)) as pages:
            async for records, _ in pages:
                # Nobody resumes from these: what comes before the first of them does not matter.
                yield await self._entries(records, ORIGIN, epoch)

    async def _entries(self, records: Sequence[Record], after: Position, epoch: str) -> list[HistoryEntry]:
        """The entries of records that follow `after`, and were read while `epoch` was that of the log."""
        self._check(epoch)
        now = self._clock.monotonic()
        before = chain([after], (record.position for record in records))
        placed = zip(records, before, strict=False)
        entries = await self._slices.collect(self._history.entry(record, now, at) for record, at in placed)
        self._check(epoch)
        return entries

    def _epoch(self) -> str:
        """The epoch that positions are of. Raises EpochChanged where the history has yet to start over."""
        self._check(self._history.epoch)
        return self._history.epoch

    def _check(self, epoch: str) -> None:
        if self._log.epoch != epoch or self._history.epoch != epoch:
            raise EpochChanged("The log has started over.")

    def _kept(self, position: Position) -> list[HistoryEntry] | None:
        if self._segments_epoch != self._history.epoch:
            self._segments.clear()
            self._kept_bytes = 0
            self._segments_epoch = self._history.epoch
        for segment in self._segments.values():
            if segment.after <= position < segment.entries[-1].position:
                start = bisect_right(segment.entries, position, key=lambda entry: entry.position)
                if segment.entries[start].after != position:
                    raise unknown(position)
                self._segments.move_to_end(segment.after)
                return segment.entries[start:]
        return None

    def _keep(self, position: Position, entries: list[HistoryEntry]) -> None:
        if not entries:
            return
        size = sum(entry.size for entry in entries)
        before = self._segments.pop(position, None)
        self._kept_bytes += size - (before.size if before is not None else 0)
        self._segments[position] = _Segment(position, entries, size)
        while self._kept_bytes > self._pace.kept_bytes:
            _, oldest = self._segments.popitem(last=False)
            self._kept_bytes -= oldest.size
