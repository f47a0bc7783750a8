"""The log in a Postgres table: shared by any number of nodes, and it lasts."""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from adapters.postgres.address import Address
from adapters.postgres.bookkeeping import Bookkeeper
from adapters.postgres.connection import Session, SessionLost, connect
from adapters.postgres.health import PostgresHealth
from adapters.postgres.listener import Listener
from adapters.postgres.migrations import require_schema
from adapters.postgres.pool import CLOSE_SECONDS, Pool
from adapters.postgres.retention import Retention
from adapters.postgres.rows import Columns, Row, columns, key, position_in, position_of, record_in
from adapters.postgres.statements import statement
from adapters.postgres.writer import Writer
from gateway.errors import EpochChanged, LogError, TrimmedError
from gateway.events import ORIGIN, Event, Position, Record
from gateway.log import ONCE_SECONDS, Appended, Bounds, Figure
from gateway.logs import log_event
from gateway.once import closed, conflict
from gateway.supervisor import Supervisor

_log = logging.getLogger(__name__)

_TAIL_BATCH = 1000
_WRITERS = 2
_EPOCH_CHARACTERS = 12
_LAST = Position(2**64 - 1, 2**63 - 1)
"""After every row: an `xid8` and a `bigint` at their ends."""


class Timing(NamedTuple):
    """How often the log looks, in seconds.

    `gated`: while committed events wait for an older transaction, which may end without any notification;
    `notified`: otherwise, where notifications wake the readers; `unnotified`: otherwise, where none come;
    `probe`: at the listening connection; `watch`: at what blocks delivery; `retention`: at what is too old;
    `statement`: how long any statement may take before its connection is taken for dead; `patience`: how long
    a transaction may hold delivery before that is worth a warning.
    """

    gated: float = 0.03
    notified: float = 2.0
    unnotified: float = 0.1
    probe: float = 10.0
    watch: float = 5.0
    retention: float = 10.0
    statement: float = 10.0
    patience: float = 10.0


class _Page(NamedTuple):
    records: list[Record]
    last: Position
    is_full: bool
    is_gated: bool


class PostgresLog:
    """An EventLog in the table `sync_events` of the database at `url`, in the session's search_path.

    A position is the transaction that wrote the event (xid8) and a number in it. Readers see an event once
    every transaction with a lower xid has ended, so one that commits late is never skipped; the price is that
    an open transaction that has written, anywhere on the server, holds delivery until it ends (`health`).

    The epoch comes from the cluster's system identifier, the timeline of its WAL and the name of the table's
    history. So a promoted standby and a restored backup start a new epoch, which resets every client: either
    may lack the last events of the old server and give their positions again. So does a TRUNCATE.

    With `notify` each append announces itself, and readers listen; without, they look more often. It keeps
    the newest `max_events`, or a few hundredths more, and none longer than `max_age_seconds`. With
    `bookkeeping_seconds` it notes that often what its readers have got (adapters/postgres/bookkeeping.py).
    """

    def __init__(
        self,
        url: str,
        *,
        max_events: int,
        max_age_seconds: float,
        notify: bool = True,
        bookkeeping_seconds: float | None = None,
        connections: int = 8,
        timing: Timing = Timing(),  # noqa: B008 - it is immutable
    ) -> None:
        self._url = url
        self._timing = timing
        self._pool = Pool(self._connect, connections)
        self._append_sql = statement("log_append")
        self._writer = Writer(self._send)
        self._listener: Listener | None = None
        if notify:
            # One query string is one transaction: see the manual's "Multiple Statements in a Simple Query".
            self._append_sql = statement("log_notify") + self._append_sql
            self._listener = Listener(self._connect, self._wake, probe_seconds=timing.probe)
        self._retention = Retention(
            self._pool,
            max_events=max_events,
            max_age_seconds=max_age_seconds,
            interval_seconds=timing.retention,
        )
        self._given = ORIGIN
        self._bookkeeper: Bookkeeper | None = None
        if bookkeeping_seconds is not None:
            self._bookkeeper = Bookkeeper(
                self._pool, lambda: self._given, interval_seconds=bookkeeping_seconds
            )
        self._supervisor = Supervisor()
        self._wakes: set[asyncio.Event] = set()
        self._looking: set[asyncio.Event] = set()
        self._rested = asyncio.Event()
        self._epoch = ""
        self._is_closed = False
        self._is_reachable = False
        self._watched: tuple[float, float] = (0.0, 0.0)
        self._counts: Counter[str] = Counter()

    @property
    def epoch(self) -> str:
        return self._epoch

    async def start(self) -> None:
        Address.parse(self._url)
        async with self._pool.session() as session:
            await require_schema(session)
            ((is_foreign,),) = await session.fetch(statement("log_foreign"))
            if is_foreign:
                raise LogError(
                    "The log's table holds transactions of another server, as after restoring a dump:"
                    " empty it with `truncate sync_events`."
                )
            ((history, *_),) = await session.fetch(statement("log_bounds"))
            self._epoch = _epoch(session, history)
        if self._listener is not None:
            self._supervisor.run("log_listener", self._listener.run)
        for number in range(1, _WRITERS + 1):
            self._supervisor.run(f"log_writer_{number}", self._writer.run)
        self._supervisor.run("log_retention", self._retention.run)
        self._supervisor.run("log_watch", self._watch)
        if self._bookkeeper is not None:
            self._supervisor.run("log_bookkeeping", self._bookkeeper.run)

    async def _connect(self) -> Session:
        return await connect(self._url, statement_seconds=self._timing.statement)

    async def close(self) -> None:
        self._is_closed = True
        self._wake()
        await self._writer.close(CLOSE_SECONDS)
        await self._supervisor.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._looking:
                    self._rested.clear()
                    await self._rested.wait()
        await self._pool.close()

    async def append(self, events: Sequence[Event]) -> Appended:
        if self._is_closed:
            raise closed()
        if not events:
            return Appended(self._epoch, [])
        positions = await self._writer.append(columns(events), len(events))
        return Appended(self._epoch, positions)

    async def _send(self, parameters: Columns) -> list[Position]:
        async with self._pool.session() as session:
            positions = await self._write(session, parameters)
        self._wake()
        return positions

    async def _write(self, session: Session, parameters: Columns) -> list[Position]:
        rows = await session.fetch(self._append_sql, parameters)
        # Positions are given out under the epoch that they belong to.
        self._epoch = _epoch(session, rows[0][2])
        return sorted(position_of(major, minor) for major, minor, _ in rows)

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        if self._is_closed:
            raise closed()
        if not events:
            return Appended(self._epoch, [])
        async with self._pool.session() as session:
            appended = await self._append_once(session, events, key, digest)
        self._wake()
        return appended

    async def _append_once(
        self, session: Session, events: Sequence[Event], key: str, digest: bytes
    ) -> Appended:
        """In one transaction: whoever comes with the key meanwhile waits for its end."""
        async with session.transaction():
            parameters = {"key": key, "digest": digest, "seconds": ONCE_SECONDS}
            if await session.fetch(statement("once_claim"), parameters):
                positions = await self._write(session, columns(events))
                ids = [position.minor for position in positions]
                await session.fetch(statement("once_keep"), {"key": key, "ids": ids})
                return Appended(self._epoch, positions)
            ((known, xid, ids),) = await session.fetch(statement("once_known"), {"key": key})
        if bytes(known) != digest:
            raise conflict()
        return Appended(self._epoch, [position_of(xid, minor) for minor in ids], replayed=True)

    async def read(self, after: Position, limit: int) -> list[Record]:
        epoch = self._epoch
        while True:
            page = await self._page(after, limit, epoch)
            # A page of which nothing could be delivered is not the head.
            if page.records or not page.is_full:
                return page.records
            after = page.last

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        end = _LAST if before is None else before
        session_epoch, rows = await self._rows("log_latest", {**key(end), "limit": limit})
        self._epoch = session_epoch
        return self._records(rows)

    async def bounds(self) -> Bounds:
        self._epoch, ((_, *floor_and_head),) = await self._rows("log_bounds", {})
        floor_major, floor_minor, head_major, head_minor = floor_and_head
        return Bounds(position_of(floor_major, floor_minor), position_of(head_major, head_minor))

    def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        return self._tail(after, self._epoch)

    async def _tail(self, after: Position, epoch: str) -> AsyncIterator[list[Record]]:
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            while True:
                # Both before looking: what is announced meanwhile is looked for again, and what was
                # appended before the log was closed is still given.
                wake.clear()
                is_last = self._is_closed
                self._looking.add(wake)
                page = await self._page(after, _TAIL_BATCH, epoch)
                if page.records:
                    self._rest(wake)
                    yield page.records
                after = page.last
                # Whoever asks for more has dealt with what it got.
                self._given = max(self._given, after)
                if not page.is_full:
                    if is_last:
                        return
                    self._looking.add(wake)
                    await self._pause(wake, page.is_gated)
        except LogError:
            if not self._is_closed:
                raise
        finally:
            self._wakes.discard(wake)
            self._rest(wake)

    def _rest(self, wake: asyncio.Event) -> None:
        self._looking.discard(wake)
        self._rested.set()

    async def _pause(self, wake: asyncio.Event, is_gated: bool) -> None:
        seconds = self._timing.unnotified if self._listener is None else self._timing.notified
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.gated if is_gated else seconds):
                await wake.wait()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _page(self, after: Position, limit: int, epoch: str) -> _Page:
        """What follows `after` in `epoch`. Raises EpochChanged, TrimmedError, LogError."""
        found_epoch, rows = await self._rows("log_read", {**key(after), "limit": limit})
        if found_epoch != epoch:
            self._epoch = found_epoch
            raise EpochChanged(
                "The log has started over: its server or its table is another one than before."
            )
        _, pruned_major, pruned_minor, is_gated, *_ = rows[0]
        if after < position_of(pruned_major, pruned_minor):
            raise TrimmedError(f"Events right after {after} are no longer held.")
        last = position_in(rows[-1])
        return _Page(self._records(rows), last or after, last is not None and len(rows) == limit, is_gated)

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
                raise LogError(
                    "The log's table of bounds lost its only row: `insert into sync_events_bounds default"
                    " values` starts a new history."
                )
            return _epoch(session, rows[0][0]), list(rows)

    def _records(self, rows: Sequence[Row]) -> list[Record]:
        records = []
        for row in rows:
            position = position_in(row)
            if position is None:
                continue
            try:
                records.append(record_in(row))
            except ValueError as error:
                self._counts["log_event_unreadable"] += 1
                log_event(_log, logging.ERROR, "log_event_unreadable", position=position, error=error)
        return records

    async def prune(self) -> int:
        """Applies the bounds now, and gives how many events this node deleted. Raises LogError."""
        return await self._retention.prune()

    async def _watch(self) -> None:
        while True:
            try:
                ((blocking, held),) = await self._pool.fetch(statement("log_watch"))
            except LogError as error:
                self._is_reachable = False
                self._counts["log_watch_failed"] += 1
                log_event(_log, logging.WARNING, "log_watch_failed", error=error.detail)
            else:
                self._is_reachable = True
                self._watched = (blocking or 0.0, held or 0.0)
            await asyncio.sleep(self._timing.watch)

    def health(self) -> PostgresHealth:
        """The last figures; reading them asks the server nothing."""
        blocking_seconds, held_seconds = self._watched
        listener = self._listener
        return PostgresHealth(
            is_reachable=self._is_reachable,
            is_listening=listener is not None and listener.is_listening,
            blocking_seconds=blocking_seconds,
            held_seconds=held_seconds,
            listener_failures=0 if listener is None else listener.failures["log_listener_lost"],
            pruned_events=self._retention.pruned,
            unreadable_events=self._counts["log_event_unreadable"],
            retention_failures=self._retention.failures["log_retention_failed"],
        )

    def figures(self) -> Sequence[Figure]:
        return self.health().figures()

    def warnings(self) -> list[str]:
        return self.health().warnings(self._timing.patience)


def _epoch(session: Session, history: str) -> str:
    digest = hashlib.sha256(f"{session.cluster}/{history}".encode()).hexdigest()
    return digest[:_EPOCH_CHARACTERS]
