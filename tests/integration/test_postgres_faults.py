"""The log in Postgres while things break: with load on, and every event accounted for."""

import asyncio
import os
import resource
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from adapters.postgres.log import PostgresLog, Timing
from gateway.core.errors import EpochChanged, LogError, TrimmedError
from gateway.core.events import ORIGIN
from tests.support.events import an_event
from tests.support.postgres import (
    PostgresServer,
    connected,
    execute,
    fresh_database,
    new_server,
    through,
)
from tests.support.postgres_log import LAST, SELDOM, eventually, follow, is_last, opened, under_load
from tests.support.tcp_proxy import tcp_proxy

TERMINATE_OTHERS = """
select count(pg_terminate_backend(a.pid))
from pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid()
"""
TERMINATE_LISTENER = f"{TERMINATE_OTHERS} and a.query ilike 'listen %%'"
ABOVE_SELECT = 1100
"""select.select takes descriptors below 1024."""


@pytest.fixture
async def log(url: str) -> AsyncIterator[PostgresLog]:
    async with opened(url) as log:
        yield log


async def test_nothing_is_lost_when_the_server_is_restarted(server: PostgresServer, log: PostgresLog) -> None:
    async with under_load(log):
        await asyncio.to_thread(server.restart)


async def test_nothing_is_lost_when_the_server_is_killed(server: PostgresServer, log: PostgresLog) -> None:
    async with under_load(log):
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    assert log.health().listener_failures > 0


async def test_an_outage_of_the_server_is_told_by_who_reads_and_not_by_each_task(
    server: PostgresServer, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    timing = Timing(watch=0.01, retention=0.01)
    async with opened(url, timing=timing, bookkeeping_seconds=0.01) as log:
        await eventually(lambda: log.health().is_listening and log.health().is_reachable, "all is well")
        await asyncio.to_thread(server.stop)
        await eventually(
            lambda: log.health().listener_failures > 2 and log.health().retention_failures > 2,
            "the tasks fail",
        )
        await asyncio.to_thread(server.start)
        await eventually(lambda: log.health().is_listening and log.health().is_reachable, "all is well")
    assert [record.__dict__.get("event") for record in caplog.records if "postgres" in record.name] == []


async def test_a_transaction_that_holds_delivery_is_a_line_with_who_it_is_and_one_at_its_end(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def lines() -> list[str]:
        return [record.__dict__["event"] for record in caplog.records if "postgres" in record.name]

    timing = Timing(watch=0.01, retention=SELDOM, patience=0.05)
    with connected(f"{url}&application_name=nightly") as connection:
        async with opened(url, timing=timing):
            execute(connection, "begin")
            execute(connection, "select pg_current_xact_id()")
            await eventually(lambda: lines() == ["log_delivery_failed"], "it is told")
            fields = next(record for record in caplog.records if "postgres" in record.name).__dict__["fields"]
            ((pid, database),) = execute(connection, "select pg_backend_pid(), current_database()")
            told = {name: fields[name] for name in ("pid", "application", "database", "user")}
            assert told == {"pid": pid, "application": "nightly", "database": database, "user": "tidegate"}
            assert fields["open_seconds"] >= timing.patience
            execute(connection, "rollback")
            await eventually(
                lambda: lines() == ["log_delivery_failed", "log_delivery_recovered"], "its end is told"
            )


@pytest.mark.parametrize("end", [PostgresServer.stop, PostgresServer.kill], ids=["stopped", "killed"])
async def test_a_server_that_comes_back_with_its_data_keeps_the_epoch(
    server: PostgresServer, url: str, end: Callable[[PostgresServer], None]
) -> None:
    async with opened(url) as running, opened(url) as before:
        epoch = before.epoch
        (position,) = (await running.append([an_event()])).positions
        await before.close()
        await asyncio.to_thread(end, server)
        await asyncio.to_thread(server.start)
        assert await running.read(position, 10) == []
        async with opened(url) as after:
            assert after.epoch == running.epoch == epoch


async def test_nothing_is_lost_when_connections_are_terminated(log: PostgresLog, url: str) -> None:
    async with under_load(log) as load:
        with connected(url) as connection:
            for _ in range(5):
                execute(connection, TERMINATE_OTHERS)
                await load.goes_on(5)


async def test_nothing_is_lost_when_connections_fall_silent(server: PostgresServer, url: str) -> None:
    timing = Timing(probe=0.2, statement=0.5, retention=SELDOM)
    async with (
        tcp_proxy(server.socket) as proxy,
        opened(through(proxy, url), timing=timing) as log,
        under_load(log),
    ):
        await eventually(lambda: log.health().is_listening, "it listens")
        proxy.silence()
        await eventually(lambda: log.health().listener_failures > 0, "the silence is noticed")
        await eventually(lambda: log.health().is_listening, "it listens again")


async def test_nothing_is_lost_when_connections_are_cut(server: PostgresServer, url: str) -> None:
    async with (
        tcp_proxy(server.socket) as proxy,
        opened(through(proxy, url)) as log,
        under_load(log) as load,
    ):
        for _ in range(5):
            proxy.cut()
            await load.goes_on(5)


@pytest.fixture
def high_descriptors() -> Iterator[None]:
    """Every descriptor that is opened has a number that select.select can't do with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * ABOVE_SELECT), hard))
    held = [os.open(os.devnull, os.O_RDONLY)]
    while held[-1] < ABOVE_SELECT:
        held.append(os.dup(held[0]))
    yield
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_listener_with_a_high_descriptor_learns_that_its_connection_is_gone(
    high_descriptors: None, log: PostgresLog, url: str
) -> None:
    await eventually(lambda: log.health().is_listening, "it listens")
    with connected(url) as connection:
        assert execute(connection, TERMINATE_LISTENER) == [(1,)]
    await eventually(lambda: log.health().listener_failures == 1, "the loss is noticed")
    await eventually(lambda: log.health().is_listening, "it listens again")
    async with under_load(log):
        pass


async def test_a_statement_timeout_while_following_is_a_lost_log_and_no_cancellation(url: str) -> None:
    # Long enough for whatever nobody is in the way of.
    async with opened(f"{url}&options=-c%20statement_timeout%3D1000", notify=False) as log:
        start = (await log.bounds()).head
        with connected(url) as connection:
            execute(connection, "begin")
            execute(connection, "lock table sync_events in access exclusive mode")
            with pytest.raises(LogError, match="cancelled a statement"):
                await anext(aiter(log.tail(start)))
            execute(connection, "rollback")
        reader = asyncio.create_task(follow(log, start, is_last))
        await log.append([an_event(f"order:{LAST}")])
        assert len(await reader) == 1


async def test_a_transaction_in_another_database_holds_delivery_and_its_end_is_noticed(
    server: PostgresServer, url: str
) -> None:
    # Neither a notification nor the long timer can be what wakes the reader.
    timing = Timing(notified=SELDOM, watch=0.01, retention=SELDOM)
    with fresh_database(server.url()) as elsewhere, connected(elsewhere) as connection:
        async with opened(url, timing=timing) as log:
            await eventually(lambda: log.health().is_listening, "it listens")
            start = (await log.bounds()).head
            execute(connection, "begin")
            execute(connection, "select pg_current_xact_id()")
            reader = asyncio.create_task(follow(log, start, is_last))
            await log.append([an_event(f"order:{LAST}")])
            await eventually(lambda: log.health().held_seconds > 0, "the event is held")
            assert log.health().blocking_seconds >= log.health().held_seconds
            assert await log.read(start, 10) == []
            assert not reader.done()
            execute(connection, "rollback")
            assert len(await reader) == 1
            await eventually(lambda: log.health().blocking_seconds == 0, "nothing blocks any more")


async def test_a_prepared_transaction_holds_delivery_and_shows(url: str) -> None:
    timing = Timing(watch=0.01, retention=SELDOM)
    async with opened(url, timing=timing) as log:
        start = (await log.bounds()).head
        name = uuid.uuid4().hex
        with connected(url) as connection:
            execute(connection, "begin")
            execute(connection, "select pg_current_xact_id()")
            execute(connection, f"prepare transaction '{name}'")
            await log.append([an_event()])
            await eventually(lambda: log.health().blocking_seconds > 0, "it shows")
            assert await log.read(start, 10) == []
            execute(connection, f"rollback prepared '{name}'")
        assert len(await log.read(start, 10)) == 1


async def test_a_reader_that_retention_passes_is_told_and_lives_on(url: str) -> None:
    async with opened(url, max_events=10) as log:
        tail = aiter(log.tail(ORIGIN))
        await log.append([an_event(f"order:{number}") for number in range(20)])
        read = await anext(tail)
        await log.append([an_event(f"order:{number}") for number in range(20, 40)])
        await log.prune()
        with pytest.raises(TrimmedError):
            await anext(tail)
        floor, head = await log.bounds()
        assert read[-1].position < floor
        records = await follow(log, floor, lambda record: record.position == head)
        assert [record.event.entity_id for record in records] == [str(number) for number in range(30, 40)]


async def test_a_promoted_standby_starts_a_new_epoch_and_a_standby_is_refused(
    server: PostgresServer, url: str
) -> None:
    standby = new_server()
    try:
        async with opened(url) as log:
            epoch = log.epoch
            (position,) = (await log.append([an_event()])).positions
        standby.create_standby(server)
        standby.start()
        there = url.partition("?")[0] + f"?host={standby.directory}"
        with pytest.raises(LogError, match="read-only, as a replica is: the log needs the primary"):
            async with opened(there):
                pass
        standby.promote()
        async with opened(there) as log:
            assert log.epoch != epoch
            assert (await log.bounds()).head == position
    finally:
        standby.remove()


async def test_an_emptied_table_starts_a_new_epoch_and_readers_are_told(log: PostgresLog, url: str) -> None:
    epoch = log.epoch
    (position,) = (await log.append([an_event()])).positions
    tail = aiter(log.tail(ORIGIN))
    await anext(tail)
    with connected(url) as connection:
        execute(connection, "truncate sync_events")
    with pytest.raises(EpochChanged):
        await anext(tail)
    assert log.epoch != epoch
    bounds = await log.bounds()
    assert bounds.floor == bounds.head == ORIGIN
    (later,) = (await log.append([an_event()])).positions
    assert later > position
    assert [record.position for record in await log.read(ORIGIN, 10)] == [later]
