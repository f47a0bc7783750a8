"""The audit trail in Postgres holds up nothing: its transactions end at once."""

import asyncio

from adapters.postgres.audit import PostgresAudit
from gateway.ports.audit import AuditEntry, AuditQuery, moment
from tests.support.clock import ManualClock
from tests.support.postgres import (
    connected,
    execute,
    log_database,
    log_schema,
    no_standby_answers,
    own_server,
)
from tests.support.postgres_log import DEADLINE_SECONDS, eventually, next_of, numbered, opened

ENTRY = AuditEntry(f"{moment(1)}-1", "admin", "ana", b"{}")


def a_store(url: str) -> PostgresAudit:
    return PostgresAudit(url, ManualClock(), max_entries=0, max_age_seconds=1e9)


async def test_a_commit_of_the_trail_waits_for_no_standby() -> None:
    with own_server() as server:
        async with log_database(server.url()) as url:
            store = a_store(url)
            await store.start()
            with no_standby_answers(server), connected(url) as connection:
                named = "show synchronous_standby_names"
                await eventually(lambda: execute(connection, named) == [("nobody",)], "it is configured")

                async with asyncio.timeout(DEADLINE_SECONDS):
                    await store.append([ENTRY])
                    found = await store.read(AuditQuery(10))
                    await store.trim()
                    left = await store.read(AuditQuery(10))

            await store.close()
    assert found == [ENTRY]
    assert left == []


async def test_a_trail_that_has_to_wait_does_not_hold_delivery() -> None:
    async with log_schema() as url, opened(url) as log:
        store = a_store(url)
        await store.start()
        with connected(url) as connection:
            execute(connection, "begin")
            execute(connection, "lock table tidegate_audit in share mode")
            waiting = asyncio.ensure_future(store.append([ENTRY]))
            waits = "select 1 from pg_locks where relation = 'tidegate_audit'::regclass and not granted"
            await eventually(lambda: bool(execute(connection, waits)), "the trail waits for the table")
            tail = log.tail((await log.bounds()).head)
            await log.append(numbered(1))

            got = await next_of(tail, 1)

            assert not waiting.done()
            execute(connection, "commit")
        await waiting
        await store.close()
    assert [record.event.entity_id for record in got] == ["1"]
