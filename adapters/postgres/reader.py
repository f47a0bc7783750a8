"""Reads the log, and sees whether it is still the one that was read before."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adapters.postgres.connection import SessionLost
from adapters.postgres.identity import Newest, epoch_of
from adapters.postgres.pool import Pool
from adapters.postgres.rows import Row, is_readable, key, position_in, position_of, record_in
from adapters.postgres.statements import statement
from gateway.core.errors import EpochChanged, LogError
from gateway.core.events import ORIGIN, Position, Record
from gateway.ports.log import Bounds, trimmed, unknown
from gateway.runtime.logs import log_event

_log = logging.getLogger(__name__)

_LAST = Position(2**64 - 1, 2**63 - 1)
"""After every row: an `xid8` and a `bigint` at their ends."""
_LEAST_ROWS = 32
"""Where some of the newest events can't be delivered, those before them are likely to be of the same kind."""


class Page(NamedTuple):
    """Records that follow one another. `last` is where they end, events that can't be delivered among them.

    `is_full`: there may be more. `is_gated`: committed events wait for an older transaction.
    """

    records: list[Record]
    last: Position
    is_full: bool
    is_gated: bool


class Reader:
    """What is read of the log, each time in one statement, and what follows from it for the epoch.

    It remembers the newest event that this node has seen, and the newest that it has heard of since. Where
    the log lacks one of them, and has not dropped it by its bounds, it was put back to an earlier state: the
    history gets a new name then, which ends the epoch for every node. What was heard of counts as seen once a
    page has shown that the log still has both, and not before: a log that was put back goes on, and may be
    further than it was. A position is held for as long as its very event is, for no other gets it (the
    random bits of its number), so whoever knows an event that was lost finds out sooner or later.

    `epoch` is that of the last read; `counts` has `log_event_unreadable`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._newest = Newest()
        self._heard = Newest()
        self._foreign: str | None = None
        # The epoch and position of the newest event, and the newest one that can be delivered.
        self._readable = ("", ORIGIN, ORIGIN)
        self.epoch = ""
        self.counts: Counter[str] = Counter()

    def require_own(self) -> None:
        """Raises LogError where the last read found rows of another server: what is appended may be lost."""
        if self._foreign is not None:
            raise another_servers()

    def appended(self, epoch: str, position: Position) -> None:
        """The log has this event from now on."""
        # The answer to an append may come after the log has started over.
        if epoch == self.epoch:
            self._heard = self._heard.with_event(epoch, position)

    async def latest(self, limit: int, before: Position | None) -> list[Record]:
        """See gateway.log.EventLog."""
        end = _LAST if before is None else before
        self.epoch, rows = await self._rows("log_latest", {**key(end), "limit": limit})
        self._know_last(self.epoch, rows)
        epoch, records, asked = self.epoch, self._records(rows), limit
        # A page of which not all could be delivered is not the log's beginning.
        while len(records) < limit and len(rows) == asked and (first := position_in(rows[0])) is not None:
            asked = max(limit - len(records), _LEAST_ROWS)
            self.epoch, rows = await self._rows("log_latest", {**key(first), "limit": asked})
            if self.epoch != epoch:
                return await self.latest(limit, before)
            records = (self._records(rows) + records)[-limit:]
        return records

    async def bounds(self) -> Bounds:
        """See gateway.log.EventLog."""
        self.epoch, (row,) = await self._rows("log_bounds", {})
        epoch, floor = self.epoch, position_of(*row[2:4])
        last = self._know_last(epoch, [row])
        if last is None:
            return Bounds(floor, floor)
        if self._readable[:2] != (epoch, last):
            # No history holds an event that can't be delivered: a cursor of it would be a reset.
            head = last if is_readable(row) else await self._before(last)
            if self.epoch != epoch:
                return await self.bounds()
            self._readable = (epoch, last, head)
        return Bounds(floor, max(floor, self._readable[2]))

    async def _before(self, position: Position) -> Position:
        """The newest event before `position` that can be delivered; ORIGIN where there is none."""
        records = await self.latest(1, position)
        return records[0].position if records else ORIGIN

    def is_ahead(self, position: Position) -> bool:
        """Whether the log has not come that far, as far as this node knows."""
        return self._heard.epoch != self.epoch or position > self._heard.position

    async def page(self, after: Position, limit: int, epoch: str, *, was_ahead: bool = False) -> Page:
        """What follows `after` in `epoch`. One that `was_ahead` may have been passed over.

        Raises EpochChanged, TrimmedError, UnknownPosition, LogError.
        """
        newest, heard = self._newest, self._heard
        known = {f"known_{name}": value for name, value in key(newest.position).items()}
        known |= {f"heard_{name}": value for name, value in key(heard.position).items()}
        found, rows = await self._rows("log_read", {**key(after), **known, "limit": limit})
        if found != epoch:
            self.epoch = found
            raise _started_over()
        history, _, pruned_major, pruned_minor, is_gated, is_held, is_known, is_heard, *_ = rows[0]
        floor = position_of(pruned_major, pruned_minor)
        for seen, is_there in ((newest, is_known), (heard, is_heard)):
            if not is_there and seen.epoch == epoch and seen.position > floor:
                await self._start_over(history, "lost", seen.position)
        last = self._know_last(epoch, rows)
        if heard.epoch == epoch:
            self._newest = self._newest.with_event(*heard)
        if last is not None:
            self._newest = self._newest.with_event(epoch, last)
        if after < floor:
            raise trimmed(after)
        is_place = is_held or after == floor
        if last is None:
            return Page([], after, False, is_gated)
        if not (is_place or was_ahead):
            raise unknown(after)
        return Page(self._records(rows), last, len(rows) == limit, is_gated)

    def _know_last(self, epoch: str, rows: Sequence[Row]) -> Position | None:
        last = position_in(rows[-1])
        if last is not None:
            self._heard = self._heard.with_event(epoch, last)
        return last

    async def _start_over(self, history: str, reason: str, lost: Position | None = None) -> None:
        """Ends the history for everybody, where it does lack the event at `lost`. Raises EpochChanged.

        Another node may have been quicker.
        """
        lacking = {"major": None, "minor": None} if lost is None else key(lost)
        if await self._pool.fetch(statement("log_rename"), {"history": history, **lacking}):
            log_event(_log, logging.WARNING, "postgres_new_epoch", reason=reason, position=lost)
        await self.bounds()
        raise _started_over()

    async def _rows(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, list[Row]]:
        """The rows of a statement that reads, and the epoch that they are of.

        It is tried twice where its session was lost: it may have been dead since before.
        """
        try:
            return await self._rows_once(name, parameters)
        except SessionLost:
            self._pool.drop_free()
            return await self._rows_once(name, parameters)

    async def _rows_once(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, list[Row]]:
        async with self._pool.session() as session:
            rows = await session.fetch(statement(name), parameters)
        if not rows:
            raise without_bounds()
        history, is_foreign, *_ = rows[0]
        if is_foreign:
            self._foreign = history
            self.require_own()
        was_foreign, self._foreign = self._foreign == history, None
        if was_foreign:
            # Its transaction ids have caught up: new events may lie among the other server's.
            await self._start_over(history, "foreign")
        return epoch_of(session.server, history), list(rows)

    def _records(self, rows: Sequence[Row]) -> list[Record]:
        records = []
        for row in rows:
            position = position_in(row)
            if position is None:
                continue
            try:
                records.append(record_in(row))
            except ValueError as error:
                self.counts["log_event_unreadable"] += 1
                log_event(_log, logging.ERROR, "log_event_unreadable", position=position, error=error)
        return records


def without_bounds() -> LogError:
    """What to do where `sync_events_bounds` is empty."""
    return LogError(
        "The log's table of bounds lost its only row: `insert into sync_events_bounds default values` starts"
        " a new history."
    )


def another_servers() -> LogError:
    """What to do where the log's rows are of another server."""
    return LogError(
        "The log's table holds transactions of another server, as after restoring a dump: empty it"
        " with `truncate sync_events`."
    )


def _started_over() -> EpochChanged:
    return EpochChanged(
        "The log has started over: its server, its table or what it held is another than before."
    )
