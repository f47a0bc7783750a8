"""The log's tables: installed whole or not at all, and what they refuse."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import psycopg2
import pytest

from adapters.postgres.connection import Session, connect
from adapters.postgres.migrations import (
    install,
    installed_version,
    migrations,
    newest_version,
    pending,
    script,
)
from gateway.core.errors import LogError
from gateway.core.events import RESERVED_EVENT_TYPES, REVOCATION
from tests.support.postgres import connected, execute, fresh_database, log_database

TABLES = "select count(*) from pg_tables t where t.schemaname not in ('pg_catalog', 'information_schema')"
BOUNDS = "select b.pruned_xid::text, b.pruned_id, b.history::text from sync_events_bounds b"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with log_database() as url:
        yield url


@pytest.fixture(scope="module")
def shared_url() -> Iterator[str]:
    """A log that no test here can change: it refuses what they insert."""
    with fresh_database() as url:
        asyncio.run(_install_in(url))
        yield url


async def _install_in(url: str) -> None:
    session = await connect(url)
    await install(session)
    session.close()


@pytest.fixture
async def empty() -> AsyncIterator[Session]:
    """A session with a database in which nothing is installed."""
    with fresh_database() as url:
        session = await connect(url)
        yield session
        session.close()


def test_the_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [step.version for step in migrations()] == list(range(1, newest_version() + 1))


async def test_installing_records_the_version_and_doing_it_again_changes_nothing(empty: Session) -> None:
    assert await installed_version(empty) == 0
    assert await install(empty) == list(migrations())
    assert await installed_version(empty) == newest_version()
    before = await empty.fetch("select s.version, s.installed_at from tidegate_schema s")
    assert await install(empty) == []
    assert await empty.fetch("select s.version, s.installed_at from tidegate_schema s") == before


async def test_what_a_dry_run_prints_is_what_installing_does(empty: Session) -> None:
    steps = await pending(empty)
    assert await empty.fetch(TABLES) == [(0,)]
    await empty.fetch(f"begin;\n{script(steps)}\ncommit")
    assert await pending(empty) == []


async def test_an_upgrade_keeps_positions_and_goes_on_above_them(empty: Session) -> None:
    before_branches = [step for step in migrations() if step.version < 5]
    await empty.fetch(script(before_branches))
    insert = "insert into sync_events (event_type, action) values ('changed', 'signal') returning id"
    old = [(await empty.fetch(insert))[0][0] for _ in range(3)]
    # The newest number given is none that the table holds.
    await empty.fetch(f"delete from sync_events where id = {old[-1]}")
    await install(empty)
    new = [(await empty.fetch(insert))[0][0] for _ in range(3)]
    held = [number for (number,) in await empty.fetch("select e.id from sync_events e order by e.xid, e.id")]
    assert held == [*old[:-1], *new]
    assert [*old, *new] == sorted({*old, *new})


async def test_an_event_of_before_with_a_name_that_is_reserved_now_stays_and_no_other_comes(
    empty: Session,
) -> None:
    insert = "insert into sync_events (event_type, action) values ('open', 'signal')"
    await empty.fetch(script([step for step in migrations() if step.version < 7]))
    await empty.fetch(insert)
    await install(empty)

    assert await empty.fetch("select e.event_type from sync_events e") == [("open",)]
    with pytest.raises(LogError):
        await empty.fetch(insert)


async def test_two_installations_at_the_same_time_both_end_well() -> None:
    with fresh_database() as url:
        sessions = [await connect(url) for _ in range(2)]
        done = await asyncio.gather(*(install(session) for session in sessions))
        assert sorted(len(steps) for steps in done) == [0, len(migrations())]
        for session in sessions:
            session.close()


async def test_an_installation_that_fails_leaves_nothing_behind(empty: Session) -> None:
    await empty.fetch("create table sync_events_bounds (mine integer)")
    with pytest.raises(LogError):
        await install(empty)
    await empty.fetch("rollback")
    assert await empty.fetch(TABLES) == [(1,)]


async def test_everything_is_in_the_schema_that_the_search_path_names() -> None:
    with fresh_database() as url:
        with connected(url) as connection:
            execute(connection, "create schema apart")
        session = await connect(f"{url}&options=-c%20search_path%3Dapart")
        await install(session)
        ((given_id,),) = await session.fetch(
            "insert into sync_events (event_type, action) values ('changed', 'signal') returning id"
        )
        session.close()
        with connected(url) as connection:
            assert execute(
                connection,
                "select distinct t.schemaname from pg_tables t"
                " where t.tablename like 'sync%' or t.tablename like 'tidegate%'",
            ) == [("apart",)]
            # Whoever deletes has another search_path than whoever installed.
            execute(connection, "delete from apart.sync_events")
            ((_, pruned_id),) = execute(
                connection, "select b.pruned_xid::text, b.pruned_id from apart.sync_events_bounds b"
            )
        assert pruned_id == given_id


GOOD = {"event_type": "'changed'", "action": "'update'"}
BAD = {
    "event_type": [
        "'a b'",
        "''",
        "repeat('x', 65)",
        "E'x\\n'",
        *(f"'{name}'" for name in RESERVED_EVENT_TYPES - {REVOCATION}),
    ],
    "action": ["'leave'", "'x'"],
    "entity_type": ["'order'", "'a/b'"],
    "entity_id": ["'1'"],
    "data": ["'[]'", "'null'", "'1'"],
    "previous": ["'\"x\"'"],
    "actor": ["'[]'"],
    "metadata": ["'false'"],
    "source": ["''", "repeat('x', 257)", "E'x\\u0085'"],
    '"timestamp"': ["'infinity'", "'-infinity'", "'10000-01-01T00:00:00Z'", "'0001-01-01 BC'"],
}


async def test_the_table_reserves_the_names_that_the_protocol_does(shared_url: str) -> None:
    with connected(shared_url) as connection:
        ((check,),) = execute(
            connection,
            "select pg_get_constraintdef(c.oid) from pg_constraint c"
            " where c.conname = 'event_type_is_not_reserved'",
        )
    assert set(re.findall(r"'([^']+)'", check)) == RESERVED_EVENT_TYPES - {REVOCATION}


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column, values in BAD.items() for value in sorted(values)]
)
async def test_a_row_that_is_no_event_is_refused(shared_url: str, column: str, value: str) -> None:
    members = GOOD | {column: value}
    with connected(shared_url) as connection, pytest.raises(psycopg2.errors.CheckViolation):
        execute(
            connection,
            f"insert into sync_events ({', '.join(members)}) values ({', '.join(members.values())})",
        )


@pytest.mark.parametrize("entity_id", ["''", "repeat('x', 257)", "E'x\\n'", "E'\\x7f'"])
async def test_an_entity_id_that_no_event_may_have_is_refused(shared_url: str, entity_id: str) -> None:
    sql = f"""
    insert into sync_events (event_type, action, entity_type, entity_id)
    values ('x', 'update', 'order', {entity_id})
    """
    with connected(shared_url) as connection, pytest.raises(psycopg2.errors.CheckViolation):
        execute(connection, sql)


async def test_whoever_deletes_moves_the_floor(url: str) -> None:
    with connected(url) as connection:
        for _ in range(3):
            execute(connection, "insert into sync_events (event_type, action) values ('changed', 'signal')")
        rows = execute(connection, "select e.xid::text, e.id from sync_events e order by e.xid, e.id")
        ((*before, history),) = execute(connection, BOUNDS)
        assert before == ["0", 0]
        execute(connection, "delete from sync_events where id = %s", [rows[1][1]])
        assert execute(connection, BOUNDS) == [(*rows[1], history)]
        execute(connection, "delete from sync_events where id = %s", [rows[0][1]])
        assert execute(connection, BOUNDS) == [(*rows[1], history)]
        execute(connection, "delete from sync_events where id = 99")
        assert execute(connection, BOUNDS) == [(*rows[1], history)]


async def test_emptying_the_table_begins_a_new_history(url: str) -> None:
    with connected(url) as connection:
        execute(connection, "insert into sync_events (event_type, action) values ('changed', 'signal')")
        ((_, _, before),) = execute(connection, BOUNDS)
        execute(connection, "truncate sync_events")
        ((xid, pruned_id, after),) = execute(connection, BOUNDS)
    assert (xid, pruned_id) == ("0", 0)
    assert after != before
