"""The log in a Postgres table: shared by any number of nodes, and it lasts."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from adapters.postgres.address import Address
from adapters.postgres.bookkeeping import Bookkeeper
from adapters.postgres.connection import Session, connect
from adapters.postgres.health import PostgresHealth
from adapters.postgres.identity import Servers, epoch_of
from adapters.postgres.listener import Listener
from adapters.postgres.migrations import require_schema
from adapters.postgres.pool import CLOSE_SECONDS, Pool
from adapters.postgres.reader import Reader, without_bounds
from adapters.postgres.retention import Retention
from adapters.postgres.rows import Columns, Row, columns, joined, position_of, size_of
from adapters.postgres.state import PostgresState
from adapters.postgres.statements import statement
from adapters.postgres.troubles import Troubles
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Event, Position, Record
from gateway.ports.log import ONCE_SECONDS, Appended, Bounds, Figure
from gateway.runtime.batcher import Batcher
from gateway.runtime.idempotency import closed, conflict
from gateway.runtime.log_pages import TailSize
from gateway.runtime.outage import Outage
from gateway.runtime.supervisor import Supervisor

_log = logging.getLogger(__name__)

_WRITERS = 2


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

    `state` knows the rows of the captured tables: a StateSource (gateway/ports/state.py).
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
        self._servers = Servers()
        self._troubles = Troubles()
        self._held = Outage(_log, "log_delivery")
        self._pool = Pool(self._connect, connections)
        self._reader = Reader(self._pool)
        self.state = PostgresState(self._connect, self._pool.fetch, troubles=self._troubles)
        self._append_sql = statement("log_append")
        self._once_sql = "".join(map(statement, ("once_claim", "log_append", "once_keep", "once_known")))
        self._batcher = Batcher(self._write, splits_refused=True)
        self._listener: Listener | None = None
        if notify:
            # One query string is one transaction: see the manual's "Multiple Statements in a Simple Query".
            self._append_sql = statement("log_notify") + self._append_sql
            self._once_sql = statement("log_notify") + self._once_sql
            self._listener = Listener(
                self._connect, self._wake, probe_seconds=timing.probe, troubles=self._troubles
            )
        self._retention = Retention(
            self._pool,
            max_events=max_events,
            max_age_seconds=max_age_seconds,
            interval_seconds=timing.retention,
            troubles=self._troubles,
        )
        self._given = ORIGIN
        self._bookkeeper: Bookkeeper | None = None
        if bookkeeping_seconds is not None:
            self._bookkeeper = Bookkeeper(
                self._pool,
                lambda: self._given,
                interval_seconds=bookkeeping_seconds,
                troubles=self._troubles,
            )
        self._supervisor = Supervisor()
        self._wakes: set[asyncio.Event] = set()
        self._looking: set[asyncio.Event] = set()
        self._rested = asyncio.Event()
        self._is_closed = False
        self._is_reachable = False
        self._watched: tuple[float, float] = (0.0, 0.0)
        self._counts: Counter[str] = Counter()

    @property
    def epoch(self) -> str:
        return self._reader.epoch

    async def start(self) -> None:
        Address.parse(self._url)
        async with self._pool.session() as session:
            await require_schema(session)
        await self.bounds()
        await self.state.refresh()
        if self._listener is not None:
            self._supervisor.run("log_listener", self._listener.run)
        for number in range(1, _WRITERS + 1):
            self._supervisor.run(f"log_writer_{number}", self._batcher.run)
        self._supervisor.run("log_retention", self._retention.run)
        self._supervisor.run("log_watch", self._watch)
        self._supervisor.run("log_state", self.state.run)
        if self._bookkeeper is not None:
            self._supervisor.run("log_bookkeeping", self._bookkeeper.run)

    async def _connect(self) -> Session:
        return await connect(self._url, statement_seconds=self._timing.statement, admit=self._servers.admit)

    async def close(self) -> None:
        self._is_closed = True
        self._wake()
        await self._batcher.close(CLOSE_SECONDS)
        await self._supervisor.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._looking:
                    self._rested.clear()
                    await self._rested.wait()
        await asyncio.gather(self._pool.close(), self.state.close())

    async def append(self, events: Sequence[Event]) -> Appended:
        if self._is_closed:
            raise closed()
        if not events:
            return Appended(self.epoch, [])
        rows = columns(events)
        return await self._batcher.append(rows, len(events), size_of(rows))

    async def _write(self, batch: Sequence[Columns]) -> list[Appended]:
        """Appends all of `batch` in one transaction, or none."""
        (_, major, ids), epoch = await self._append(self._append_sql, {**joined(batch), "key": None})
        positions = iter(self._appended(epoch, major, ids))
        return [Appended(epoch, list(islice(positions, len(rows["event_type"])))) for rows in batch]

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        if self._is_closed:
            raise closed()
        if not events:
            return Appended(self.epoch, [])
        parameters = {**columns(events), "key": key, "digest": digest, "seconds": ONCE_SECONDS}
        (_, major, ids, known, is_replayed), epoch = await self._append(self._once_sql, parameters)
        if bytes(known) != digest:
            raise conflict()
        return Appended(epoch, self._appended(epoch, major, ids), is_replayed)

    async def _append(self, sql: str, parameters: Mapping[str, Any]) -> tuple[Row, str]:
        """The one row of an append, which begins with the history, and the epoch of its own transaction."""
        self._reader.require_own()
        async with self._pool.session() as session:
            rows = await session.fetch(sql, parameters)
        ((history, *_),) = rows
        if history is None:
            raise without_bounds()
        self._wake()
        return rows[0], epoch_of(session.server, history)

    def _appended(self, epoch: str, major: str, ids: Sequence[int]) -> list[Position]:
        positions = [position_of(major, minor) for minor in sorted(ids)]
        self._reader.appended(epoch, positions[-1])
        return positions

    async def read(self, after: Position, limit: int) -> list[Record]:
        epoch = self.epoch
        while True:
            page = await self._reader.page(after, limit, epoch)
            # A page of which nothing could be delivered is not the head.
            if page.records or not page.is_full:
                return page.records
            after = page.last

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        return await self._reader.latest(limit, before)

    async def bounds(self) -> Bounds:
        return await self._reader.bounds()

    def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        return self._tail(after, self.epoch, self._reader.is_ahead(after))

    async def _tail(self, after: Position, epoch: str, was_ahead: bool) -> AsyncIterator[list[Record]]:
        wake, size = asyncio.Event(), TailSize()
        self._wakes.add(wake)
        try:
            while True:
                # Both before looking: what is announced meanwhile is looked for again, and what was
                # appended before the log was closed is still given.
                wake.clear()
                is_last = self._is_closed
                self._looking.add(wake)
                page = await self._reader.page(after, size.records, epoch, was_ahead=was_ahead)
                size.learn(page.records)
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

    async def prune(self) -> int:
        """Applies the bounds now, and gives how many events this node deleted. Raises LogError."""
        return await self._retention.prune()

    async def _watch(self) -> None:
        while True:
            try:
                ((blocking, held, *holder),) = await self._pool.fetch(statement("log_watch"))
            except LogError as error:
                self._is_reachable = False
                self._counts["log_watch_failed"] += 1
                self._troubles.failed("log_watch", error)
            else:
                self._is_reachable = True
                self._troubles.looked()
                self._troubles.over("log_watch")
                self._tell_of_holder(blocking or 0.0, held or 0.0, holder)
            await asyncio.sleep(self._timing.watch)

    def _tell_of_holder(self, blocking_seconds: float, held_seconds: float, holder: Sequence[Any]) -> None:
        self._watched = (blocking_seconds, held_seconds)
        if max(self._watched) < self._timing.patience:
            self._held.over()
            return
        names = ("pid", "gid", "database", "user", "application", "state")
        known = {name: value for name, value in zip(names, holder, strict=True) if value is not None}
        self._held.failed(
            **known, open_seconds=round(blocking_seconds, 1), held_seconds=round(held_seconds, 1)
        )

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
            unreadable_events=self._reader.counts["log_event_unreadable"],
            retention_failures=self._retention.failures["log_retention_failed"],
        )

    def figures(self) -> Sequence[Figure]:
        return self.health().figures()

    def warnings(self) -> list[str]:
        return self.health().warnings(self._timing.patience)
