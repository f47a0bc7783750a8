"""The state of captured tables: their rows, as their events have them, and the cursor of that moment."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from adapters.postgres.connection import Session, SessionLost
from adapters.postgres.identity import epoch_of
from adapters.postgres.pool import Pool
from adapters.postgres.reader import another_servers, without_bounds
from adapters.postgres.rows import is_readable, key, position_in, position_of
from adapters.postgres.statements import statement
from adapters.postgres.troubles import Troubles
from gateway.core.errors import LogError
from gateway.core.events import Cursor
from gateway.core.selectors import Selector
from gateway.ports.state import StateItem, StateUnknown
from gateway.runtime.outage import Outage

_log = logging.getLogger(__name__)

CONNECTIONS = 2
"""How many readings there may be at once; others wait. They are not the log's own connections."""
READING_SECONDS = 60.0
"""How long a reading may take: the server can't clean up after what changed since it began."""
REFRESH_SECONDS = 5.0
"""How often it is looked which tables are captured."""

_FIRST_ROWS = 16
_MOST_ROWS = 500
_BATCH_BYTES = 131_072

Tables = Mapping[str, Sequence[int]]
"""The captured tables that can be read, by entity type."""


class _Source(NamedTuple):
    """A table to read, for an entity type; of certain ids, or None for all."""

    entity_type: str
    table: int
    ids: Sequence[str] | None


class PostgresState:
    """A StateSource over the captured tables of a log in Postgres.

    All types of a reading are read in one transaction. Its snapshot is the moment of the items, and its
    cursor is the newest event that the same snapshot lets readers have: everything up to there is in the
    items, and what the snapshot shows beyond it (committed, but behind an older transaction that is open) is
    repeated.
    `connect` gives sessions with the log's server, which readings have for themselves; `fetch` runs what is
    short, by default on one of those. `now` gives monotonic seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Session]],
        fetch: Callable[[str], Awaitable[Sequence[tuple[Any, ...]]]] | None = None,
        *,
        reading_seconds: float = READING_SECONDS,
        refresh_seconds: float = REFRESH_SECONDS,
        troubles: Troubles | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = Pool(connect, CONNECTIONS)
        self._fetch = fetch or self._pool.fetch
        self._reading_seconds = reading_seconds
        self._refresh_seconds = refresh_seconds
        self._now = now
        self._troubles = troubles or Troubles()
        self._tables: Tables = {}
        self._moment: str | None = None
        self._outage = Outage(_log, "postgres_state", now=now)

    def knows(self, entity_type: str, selector: Selector) -> bool:
        """See gateway.ports.state.StateSource."""
        return entity_type in self._tables

    async def refresh(self) -> None:
        """Looks which tables are captured. Where that fails it is told, and those of before stay known."""
        try:
            ((_, _, tables),) = await self._fetch(statement("state_moment"))
        except LogError as error:
            self._troubles.failed("log_state", error)
        else:
            self._troubles.over("log_state")
            self._tables = _tables_in(tables)

    async def run(self) -> None:
        """Keeps looking which tables are captured, until it is cancelled."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            await self.refresh()

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def read(self, entity_types: Sequence[str], selector: Selector) -> AsyncIterator["PostgresReading"]:
        """See gateway.ports.state.StateSource. Of a type of which only ids are selected it reads those."""
        async with AsyncExitStack() as stack:
            with self._translated():
                session, cursor = await self._begun(stack)
                ((snapshot, as_of_ms, tables),) = await session.fetch(statement("state_moment"))
            self._tables = _tables_in(tables)
            sources = [
                _Source(entity_type, table, selector.ids_of(entity_type))
                for entity_type in entity_types
                for table in self._table_of(entity_type)
            ]
            yield PostgresReading(
                cursor,
                int(as_of_ms),
                self._version(f"{session.server.started}/{cursor.epoch}/{snapshot}", sources),
                lambda: self._batches(session, sources, self._now() + self._reading_seconds),
            )
            # Where it is not reached the session is in a transaction, and the pool ends it.
            with self._translated():
                await session.fetch(statement("state_end"))

    async def _begun(self, stack: AsyncExitStack) -> tuple[Session, Cursor]:
        """A session in a transaction, for as long as the stack is not closed, and the cursor of its snapshot.

        It is tried twice where its session was lost: it may have been dead since before.
        """
        try:
            session = await stack.enter_async_context(self._pool.session())
            return session, await _begin(session)
        except SessionLost:
            await stack.aclose()
            self._pool.drop_free()
            session = await stack.enter_async_context(self._pool.session())
            return session, await _begin(session)

    def _version(self, moment: str, sources: Sequence[_Source]) -> str | None:
        """The same for the same rows of one moment.

        None where something was committed since the last reading: on a server on which that goes on no moment
        comes twice, and who asks whether anything has changed would have to read all of it.
        """
        is_calm = self._moment in (moment, None)
        self._moment = moment
        return sha256(f"{moment}/{sources}".encode()).hexdigest() if is_calm else None

    def _table_of(self, entity_type: str) -> Sequence[int]:
        try:
            return self._tables[entity_type]
        except KeyError:
            raise StateUnknown(f"No table is captured as {entity_type} any more.") from None

    async def _batches(
        self, session: Session, sources: Sequence[_Source], until: float
    ) -> AsyncIterator[tuple[str, Sequence[StateItem]]]:
        rows = _FIRST_ROWS
        for entity_type, table, ids in sources:
            with self._translated():
                await session.fetch(statement("state_open"), {"table": table, "ids": ids})
            while True:
                with self._translated():
                    found = await session.fetch(statement("state_fetch"), {"rows": rows})
                if not found:
                    break
                items = [StateItem(entity_id, data.encode()) for entity_id, data in found]
                yield entity_type, items
                mean_bytes = sum(len(item.data) for item in items) // len(items)
                rows = max(1, min(_MOST_ROWS, 2 * rows, _BATCH_BYTES // max(1, mean_bytes)))
                if self._now() > until:
                    raise self._given_up()
            with self._translated():
                await session.fetch(statement("state_close"))

    def _given_up(self) -> StateUnknown:
        self._outage.failed(error=f"a reading took over {self._reading_seconds:g} s")
        return StateUnknown("There is more of these entity types than can be read at once: ask for fewer.")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raises StateUnknown in place of LogError, whose words are for operators: they may quote a row."""
        try:
            yield
        except LogError as error:
            self._outage.failed(error=_reason(error))
            raise StateUnknown(
                "The tables of these entity types can't be read now: ask again in a while."
            ) from error
        self._outage.over()


class PostgresReading:
    """A StateReading, whose batches can be asked for once."""

    def __init__(
        self,
        cursor: Cursor,
        as_of_ms: int,
        version: str | None,
        batches: Callable[[], AsyncIterator[tuple[str, Sequence[StateItem]]]],
    ) -> None:
        self.cursor = cursor
        self.as_of_ms = as_of_ms
        self.version = version
        self.batches = batches


async def _begin(session: Session) -> Cursor:
    """Begins the transaction; the newest event that its snapshot lets readers have, else the log's floor."""
    rows = await session.fetch(statement("state_begin") + statement("log_bounds"))
    if not rows:
        raise without_bounds()
    history, is_foreign, *floor = rows[0][:4]
    if is_foreign:
        raise another_servers()
    position = position_in(rows[0])
    # No history holds an event that can't be delivered: a cursor of it would be a reset.
    while position is not None and not is_readable(rows[-1]):
        rows = await session.fetch(statement("log_latest"), {**key(position), "limit": 1})
        position = position_in(rows[-1])
    return Cursor(epoch_of(session.server, history), position or position_of(*floor))


def _tables_in(text: str) -> Tables:
    found: dict[str, list[int]] = {}
    for table, entity_type in json.loads(text):
        found.setdefault(entity_type, []).append(table)
    return found


def _reason(error: LogError) -> str:
    """What failed, for a log line: of a refused statement its code alone, for the words may quote a row."""
    code = getattr(error.__cause__, "pgcode", None)
    return error.detail if code is None else f"Postgres refused a statement ({code})."
