"""A log whose server is another one than before: a dump is loaded, a standby promoted beside its primary."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from adapters.postgres.log import PostgresLog
from gateway.core.errors import EpochChanged, LogError
from gateway.core.events import ORIGIN
from tests.support.postgres import (
    PostgresServer,
    connected,
    database_of,
    execute,
    log_database,
    new_server,
    own_server,
)
from tests.support.postgres_log import eventually, loss_of, next_of, numbered, opened, publish
from tests.support.tcp_proxy import tcp_proxy

TERMINATE_LISTENER = """
select count(pg_terminate_backend(a.pid))
from pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid() and a.query ilike 'listen %'
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with own_server() as server:
        yield server


@pytest.fixture
def other_server() -> Iterator[PostgresServer]:
    with own_server() as server:
        yield server


async def test_a_dump_restored_under_a_running_node_stops_it_and_is_told(
    server: PostgresServer, url: str, other_server: PostgresServer
) -> None:
    async with log_database(other_server.url()) as there:
        async with opened(there) as log:
            await publish(log, 3)
            with connected(there) as connection:
                for _ in range(200):
                    execute(connection, "select pg_current_xact_id()")
            await publish(log, 3)
        dump = other_server.dump(database_of(there))
    async with opened(url) as log:
        await publish(log, 1)
        tail = aiter(log.tail(ORIGIN))
        await next_of(tail, 1)
        await asyncio.to_thread(server.load, database_of(url), dump)
        error, _ = await loss_of(tail)
        assert "transactions of another server" in error.detail
        for refused in (log.append(numbered(1)), log.append_once(numbered(1), "key", b"1"), log.bounds()):
            with pytest.raises(LogError, match="truncate sync_events"):
                await refused

        # Its transactions catch up with the dump's: what is there may be in any order.
        behind = log.epoch
        with connected(url) as connection:
            while execute(
                connection,
                "select max(xid::text::bigint) > pg_current_xact_id()::text::bigint from sync_events",
            ) == [(True,)]:
                pass
        with pytest.raises(EpochChanged):
            await log.bounds()
        assert log.epoch != behind
        (position,) = await publish(log, 1)
        assert (await log.bounds()).head == position


async def test_a_promoted_server_ends_the_sessions_with_the_old_one(server: PostgresServer, url: str) -> None:
    standby = new_server()
    try:
        standby.create_standby(server)
        standby.start()
        there = standby.url(database_of(url))
        async with (
            tcp_proxy(server.socket) as proxy,
            opened(f"postgres://tidegate@127.0.0.1:{proxy.port}/{database_of(url)}") as log,
        ):
            await publish(log, 1)
            tail = aiter(log.tail(ORIGIN))
            await next_of(tail, 1)
            await eventually(lambda: log.health().is_listening, "it listens")
            await asyncio.to_thread(until_it_has, there, 1)
            standby.promote()
            async with appending(log) as epochs:
                old = log.epoch
                await eventually(lambda: old in epochs, "it appends")
                proxy.redirect(standby.socket)
                with connected(url) as connection:
                    execute(connection, TERMINATE_LISTENER)
                error, _ = await loss_of(tail)
                assert isinstance(error, EpochChanged)
                new = log.epoch
                await eventually(lambda: epochs[-20:] == [new] * 20, "it appends to the promoted one")
                assert epochs == sorted(epochs, key=[old, new].index)
                tail = aiter(log.tail((await log.bounds()).head))
                assert all(records for records in [await anext(tail) for _ in range(20)])
            assert sessions(url) == 0

            # The old one comes back to the address: it is refused, and says so.
            with connected(url) as connection:
                count = len(execute(connection, "select from sync_events"))
                proxy.redirect(server.socket)
                proxy.cut()
                await eventually(lambda: not log.health().is_listening, "its sessions are gone")
                # Sessions that were cut say so, each of them once.
                while "another one was promoted" not in await refusal_of(log):
                    pass
                assert len(execute(connection, "select from sync_events")) == count
    finally:
        standby.remove()


async def refusal_of(log: PostgresLog) -> str:
    with pytest.raises(LogError) as refused:
        await log.append(numbered(1))
    return refused.value.detail


@asynccontextmanager
async def appending(log: PostgresLog) -> AsyncIterator[list[str]]:
    """Appends all the while, and gives the epochs of the answers as they come; refusals are left out."""
    epochs: list[str] = []

    async def append() -> None:
        while True:
            with suppress(LogError):
                epochs.append((await log.append(numbered(0))).epoch)
            with suppress(LogError):
                epochs.append((await log.append_once(numbered(0), uuid.uuid4().hex, b"0")).epoch)

    tasks = [asyncio.create_task(append()) for _ in range(4)]
    try:
        yield epochs
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def sessions(url: str) -> int:
    """How many sessions there are with the database, ours among them."""
    with connected(url) as connection:
        ((count,),) = execute(
            connection,
            "select count(*) from pg_stat_activity a where a.datname = current_database()"
            " and a.pid <> pg_backend_pid()",
        )
        assert isinstance(count, int)
        return count


def until_it_has(url: str, count: int) -> None:
    """Returns once a standby has that many events."""
    with connected(url) as connection:
        while len(execute(connection, "select from sync_events")) < count:
            pass
