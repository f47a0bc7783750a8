"""A shop's database whose tables are captured, and the application that writes to it, knowing nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's name of the class

from adapters.postgres.capture import Capture, apply, capture, uncapture
from adapters.postgres.connection import connect
from adapters.postgres.migrations import install
from adapters.postgres.rows import record_in
from adapters.postgres.status import Status, status
from gateway.core.events import Event, event_json
from tests.support.postgres import connected, execute, fresh_database, log_database

ORDERS = """
create table orders (
    id text primary key,
    order_stage text,
    total numeric(12, 2),
    card_token text
)
"""
_EVENTS = """
select
    null, null, null, null, e.xid::text, e.id, e.event_type, e.entity_type, e.entity_id, e.action,
    e.data::text, e.previous::text,
    to_char(e."timestamp" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    e.source, e.actor::text, e.metadata::text,
    floor(extract(epoch from greatest(e.recorded_at, 'epoch')) * 1000)::float8
from sync_events as e
order by e.xid, e.id
"""
"""As adapters/postgres/sql/log_read.sql has them, but without its gate: an open transaction sees its own."""


class Shop:
    """The database at `url`, and `application`, a connection in autocommit that writes to its tables."""

    def __init__(self, url: str, application: Connection) -> None:
        self.url = url
        self.application = application

    def sql(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the application runs. Several statements in one text are one transaction."""
        return execute(self.application, text, parameters or None)

    async def capture(self, table: str = "orders", *, lock_seconds: float = 5, **wanted: Any) -> None:
        """Captures the table, by default as the entity `order` with the key `id`."""
        session = await connect(self.url)
        try:
            statements = await capture(session, table, Capture(**({"entity": "order", "key": "id"} | wanted)))
            await apply(session, statements, lock_seconds=lock_seconds)
        finally:
            session.close()

    async def uncapture(self, table: str = "orders") -> None:
        session = await connect(self.url)
        try:
            await apply(session, await uncapture(session, table), lock_seconds=5)
        finally:
            session.close()

    async def status(self) -> Status:
        session = await connect(self.url)
        try:
            return await status(session)
        finally:
            session.close()

    def events(self) -> list[Event]:
        """What is in the log, oldest first. Each can be read and written as JSON, as a gateway does."""
        events = [record_in(row).event for row in execute(self.application, _EVENTS)]
        for event in events:
            event_json(event, "", {})
        return events

    def told(self) -> list[tuple[str, str | None]]:
        """The type and the entity's id of every event, oldest first."""
        return [(event.event_type, event.entity_id) for event in self.events()]

    def forget(self) -> None:
        """Empties the log, so that a test sees only what comes after."""
        self.sql("delete from sync_events")


@asynccontextmanager
async def shop(*tables: str) -> AsyncIterator[Shop]:
    """A fresh database with the log's schema and what `tables` create."""
    async with log_database() as url:
        with connected(url) as application:
            for sql in tables:
                execute(application, sql)
            yield Shop(url, application)


@contextmanager
def captured_shop(table: str, **wanted: Any) -> Iterator[Shop]:
    """A shop with one table, captured as `orders`, for tests that have no event loop."""
    with fresh_database() as url:
        asyncio.run(_install(url))
        with connected(url) as application:
            execute(application, table)
            running = Shop(url, application)
            asyncio.run(running.capture(**wanted))
            yield running


async def _install(url: str) -> None:
    session = await connect(url)
    try:
        await install(session)
    finally:
        session.close()
