"""What can be wrong with a Postgres, in one clear sentence; and aiopg's traps, each closed."""

import asyncio
import contextlib
import gc
import uuid
from collections.abc import AsyncIterator, Callable

import aiopg.connection
import psycopg2
import pytest
import uvloop

from adapters.postgres.address import Address, Host
from adapters.postgres.connection import Session, connect, require_version
from adapters.postgres.listener import Listener
from adapters.postgres.migrations import install
from gateway.core.backoff import Backoff
from gateway.core.errors import LogError
from tests.support.events import an_event
from tests.support.ports import own_port
from tests.support.postgres import (
    PASSWORD_USER,
    PostgresServer,
    connected,
    database_of,
    execute,
    fresh_database,
    make_read_only,
    through,
)
from tests.support.postgres_log import DEADLINE_SECONDS, SELDOM, eventually, opened
from tests.support.tcp_proxy import tcp_proxy

SECRET = "sw0rdfish%21"
SECRET_AS_IT_IS = "sw0rdfish!"
SESSIONS = """
select count(*) from pg_stat_activity a where a.datname = current_database() and a.pid <> pg_backend_pid()
"""
TERMINATE_OTHERS = SESSIONS.replace("count(*)", "pg_terminate_backend(a.pid)")


@pytest.fixture
async def session(url: str) -> AsyncIterator[Session]:
    session = await connect(url)
    yield session
    session.close()


def on_port(url: str, port: int, host: str = "127.0.0.1", user: str = "tidegate") -> str:
    return f"postgres://{user}@{host}:{port}/{database_of(url)}"


async def refusal(url: str, **options: object) -> str:
    """What a log says that can't be started."""
    with pytest.raises(LogError) as raised:
        async with opened(url, **options):
            pass
    assert SECRET not in raised.value.detail
    assert SECRET_AS_IT_IS not in raised.value.detail
    assert "\n" not in raised.value.detail
    assert "/tmp" not in raised.value.detail
    return raised.value.detail


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://tidegate:{SECRET}%zz@host/database",
        f"postgres://tidegate:{SECRET}@host:port/database",
        f"postgres://tidegate:{SECRET}@host/database?no_such_parameter=1",
        f"postgres://tidegate:{SECRET}@[::1/database",
    ],
)
async def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    assert "postgres://user:password@host:5432/database" in await refusal(url)


async def test_a_url_with_fewer_ports_than_hosts_is_refused() -> None:
    assert "one port for all of its hosts" in await refusal("postgres://a,b,c/database?port=1,2")


def test_a_url_may_name_several_hosts_or_a_socket() -> None:
    assert Address.parse("postgres://a:1,b:2/database").hosts == (Host("a", "1"), Host("b", "2"))
    assert Address.parse("postgres://a,b/database").hosts == (Host("a", "5432"), Host("b", "5432"))
    assert Address.parse("postgresql:///database?host=/run/postgresql").hosts[0].is_socket


async def test_a_wrong_password_is_said_and_not_shown(server: PostgresServer, url: str) -> None:
    with connected(url) as connection:
        execute(connection, f"create role {PASSWORD_USER} login password 'another'")
    async with tcp_proxy(server.socket) as proxy:
        there = on_port(url, proxy.port, user=f"{PASSWORD_USER}:{SECRET}")
        assert f'password authentication failed for user "{PASSWORD_USER}"' in await refusal(there)


async def test_a_database_that_is_not_there_is_said(server: PostgresServer) -> None:
    assert 'database "nowhere" does not exist' in await refusal(server.url("nowhere"))


async def test_a_server_that_is_not_there_is_said(server: PostgresServer) -> None:
    async with tcp_proxy(server.socket) as proxy:
        port = proxy.port
    assert await refusal(f"postgres://127.0.0.1:{port}/x") == (
        "Postgres is out of reach: Connection refused."
    )
    assert "Postgres is out of reach: No such file" in await refusal("postgres:///x?host=/nowhere/at/all")


async def test_a_name_that_does_not_resolve_is_said() -> None:
    assert "can't be resolved" in await refusal("postgres://nowhere.invalid/x")


async def test_a_database_without_the_tables_says_which_command_makes_them(server: PostgresServer) -> None:
    with fresh_database(server.url()) as url:
        assert "run `tidegate postgres install`" in await refusal(url)


async def test_a_newer_schema_is_refused(url: str) -> None:
    with connected(url) as connection:
        execute(connection, "insert into tidegate_schema (version, name) values (999, 'later')")
    assert "installed by a newer Tidegate; upgrade this one" in await refusal(url)


async def test_a_table_that_was_dropped_behind_the_logs_back_says_what_to_do(url: str) -> None:
    async with opened(url) as log:
        with connected(url) as connection:
            execute(connection, "drop table sync_events")
        with pytest.raises(LogError, match="run `tidegate postgres install`"):
            await log.bounds()


async def test_a_database_that_takes_no_writes_is_refused(url: str) -> None:
    read_only = f"{url}&options=-c%20default_transaction_read_only%3Don"
    assert "read-only, as a replica is: the log needs the primary" in await refusal(read_only)


async def test_a_log_that_becomes_read_only_says_so(server: PostgresServer, url: str) -> None:
    async with tcp_proxy(server.socket) as proxy, opened(through(proxy, url)) as log:
        with connected(url) as connection:
            make_read_only(connection, proxy)
        with pytest.raises(LogError, match="read-only, as a replica is"):
            await log.bounds()
        with pytest.raises(LogError, match="read-only, as a replica is"):
            await log.append([an_event()])


async def test_a_database_in_another_encoding_is_refused(server: PostgresServer, url: str) -> None:
    name = f"latin_{uuid.uuid4().hex}"
    with connected(url) as connection:
        execute(connection, f"create database {name} template template0 encoding 'LATIN1' locale 'C'")
    assert "encoded in LATIN1: it has to be UTF8" in await refusal(server.url(name))


async def test_rows_of_another_server_are_refused(url: str) -> None:
    with connected(url) as connection:
        execute(
            connection,
            "insert into sync_events (xid, event_type, action) values ('9000000000', 'changed', 'signal')",
        )
    assert "transactions of another server" in await refusal(url)
    with connected(url) as connection:
        execute(connection, "truncate sync_events")
    async with opened(url):
        pass


@pytest.mark.parametrize("version", [90_624, 120_017])
def test_a_server_that_is_too_old_is_refused(version: int) -> None:
    with pytest.raises(LogError, match=f"Postgres {version // 10_000} is too old for the log: it needs 13"):
        require_version(version)


def test_the_oldest_server_that_will_do_is_taken() -> None:
    require_version(130_000)


async def test_a_connection_that_is_refused_after_it_was_made_is_not_left_open(url: str) -> None:
    await refusal(f"{url}&options=-c%20default_transaction_read_only%3Don")
    with connected(url) as connection:
        await eventually(lambda: execute(connection, SESSIONS) == [(0,)], "no session is left")


async def test_a_name_with_a_dead_address_first_is_tried_to_the_end(server: PostgresServer, url: str) -> None:
    # The proxy listens on 127.0.0.1 alone; localhost is ::1 as well on most machines.
    async with tcp_proxy(server.socket) as proxy:
        (await connect(on_port(url, proxy.port, "localhost"))).close()


async def test_the_first_of_several_hosts_that_takes_writes_is_used(server: PostgresServer, url: str) -> None:
    async with tcp_proxy(server.socket) as dead:
        dead_port = dead.port
    async with tcp_proxy(server.socket) as proxy:
        hosts = f"127.0.0.1:{dead_port},nowhere.invalid:1,127.0.0.1:{proxy.port}"
        (await connect(f"postgres://tidegate@{hosts}/{database_of(url)}")).close()
        assert proxy.connections == 1


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_refused_connection_does_not_hinder_the_next(
    server: PostgresServer, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with own_port() as port, asyncio.Runner(loop_factory=new_loop) as runner:
        for _ in range(3):
            with pytest.raises(LogError, match="Connection refused"):
                runner.run(connect(f"postgres://127.0.0.1:{port}/x"))

        async def connect_and_close() -> None:
            (await connect(server.url())).close()

        runner.run(connect_and_close())


async def test_a_statement_that_the_server_cancels_is_an_error_and_no_cancellation(session: Session) -> None:
    await session.fetch("set statement_timeout = 20")
    with pytest.raises(LogError, match="cancelled a statement") as raised:
        await session.fetch("select pg_sleep(60)")
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert session.is_usable
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_statement_is_gone_with_its_values_once_it_has_its_result(session: Session) -> None:
    """Nothing waits for a collection of garbage, which is rare: some long values would be much memory."""
    gc.disable()
    try:
        before = sum(isinstance(one, aiopg.connection.Cursor) for one in gc.get_objects())
        assert await session.fetch("select length(%(value)s)", {"value": b"x" * 100_000}) == [(100_000,)]
        left = sum(isinstance(one, aiopg.connection.Cursor) for one in gc.get_objects()) - before
    finally:
        gc.enable()

    assert left == 0


async def test_a_task_that_is_cancelled_during_a_statement_ends(session: Session) -> None:
    task = asyncio.create_task(session.fetch("select pg_sleep(60)"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not session.is_usable


async def test_a_task_that_is_cancelled_as_its_statement_ends_ends_too(session: Session) -> None:
    # asyncio.wait_for of Python 3.11 would give the result and forget the cancellation.
    task = asyncio.create_task(session.fetch("select 1"))
    await asyncio.sleep(0)
    waiter = session._connection._waiter
    assert waiter is not None
    waiter.add_done_callback(lambda _: task.cancel())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_is_cancelled_as_its_connection_breaks_ends_too(session: Session, url: str) -> None:
    task = asyncio.create_task(session.fetch("select pg_sleep(60)"))
    await asyncio.sleep(0)
    waiter = session._connection._waiter
    assert waiter is not None
    waiter.add_done_callback(lambda _: task.cancel())
    with connected(url) as connection:
        assert execute(connection, TERMINATE_OTHERS) == [(1,)]
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_server_that_does_not_answer_in_time_costs_the_connection(url: str) -> None:
    session = await impatient(url)
    with pytest.raises(LogError, match="did not answer in time"):
        await session.fetch("select pg_sleep(60)")
    assert not session.is_usable


async def impatient(url: str) -> Session:
    """One that gives up its server soon. It begins with a statement: that is tried until it is in time."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            with contextlib.suppress(LogError):
                return await connect(url, statement_seconds=0.05)


async def test_a_session_that_the_server_ended_is_not_used_again(session: Session, url: str) -> None:
    with connected(url) as connection:
        execute(connection, TERMINATE_OTHERS)
    await eventually(lambda: not session.is_usable, "its end is noticed while nobody uses it")


async def test_an_error_in_a_statement_repeats_no_value_of_it(session: Session) -> None:
    with pytest.raises(LogError) as raised:
        await session.fetch("insert into sync_events (event_type, action) values (%(x)s, 'x')", {"x": SECRET})
    assert SECRET not in raised.value.detail
    assert isinstance(raised.value.__cause__, psycopg2.errors.CheckViolation)
    assert session.is_usable


async def test_a_notification_that_is_lost_wakes_the_readers_all_the_same(url: str) -> None:
    # Waiting for a notification is given up all the time; the probe that follows wakes the readers.
    woken = []

    async def connect_here() -> Session:
        return await connect(url)

    listener = Listener(connect_here, lambda: woken.append(1), probe_seconds=0.01)
    task = asyncio.create_task(listener.run())
    await eventually(lambda: len(woken) > 3, "readers look though nobody announced anything")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_listener_tries_again_with_backoff_until_the_server_is_there(url: str) -> None:
    delays: list[float] = []
    attempts = 0

    def draw(low: float, high: float) -> float:
        delays.append(high)
        return low

    async def connect_at_the_fourth_attempt() -> Session:
        nonlocal attempts
        attempts += 1
        return await connect(url if attempts == 4 else "postgres:///x?host=/nowhere")

    listener = Listener(
        connect_at_the_fourth_attempt, lambda: None, probe_seconds=SELDOM, backoff=Backoff(1.0, 3.0, draw)
    )
    task = asyncio.create_task(listener.run())
    await eventually(lambda: listener.is_listening, "it listens")
    assert delays == [1.0, 2.0, 3.0]
    assert listener.failures["log_listener_lost"] == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not listener.is_listening


async def test_the_listening_connection_is_none_of_the_pool(url: str) -> None:
    async with opened(url, connections=1) as log:
        await eventually(lambda: log.health().is_listening, "it listens")
        with connected(url) as connection:
            await log.bounds()
            assert execute(connection, SESSIONS) == [(2,)]
            assert execute(
                connection,
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and query ilike 'listen %'",
            ) == [(1,)]


async def test_keepalives_are_on_for_every_connection(server: PostgresServer, url: str) -> None:
    async with tcp_proxy(server.socket) as proxy:
        session = await connect(on_port(url, proxy.port))
        parameters = session._connection.raw.info.dsn_parameters
        session.close()
    assert parameters["tcp_user_timeout"] == "20000"
    assert parameters["keepalives_idle"] == "10"


async def test_the_server_bounds_what_a_session_may_leave_behind(session: Session) -> None:
    # Over a socket of the file system TCP's settings have no effect, and show as 0.
    assert await session.fetch("show idle_in_transaction_session_timeout") == [("5s",)]


async def test_installing_again_changes_nothing(session: Session) -> None:
    assert await install(session) == []
