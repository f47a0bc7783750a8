"""A node that is stopped or cut off, whatever it is doing, holds up no other node."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import pytest

from adapters.postgres.bookkeeping import Bookkeeper
from adapters.postgres.capture import apply
from adapters.postgres.connection import connect
from adapters.postgres.log import Timing
from adapters.postgres.migrations import install
from adapters.postgres.pool import Pool
from adapters.postgres.shared import PostgresShared
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Record
from tests.support.api import Client, Stream, event
from tests.support.cluster import publish_once, toml
from tests.support.events import an_event
from tests.support.gateway import ServedGateway
from tests.support.http import DEADLINE_SECONDS
from tests.support.postgres import (
    PostgresServer,
    connected,
    database_of,
    execute,
)
from tests.support.postgres_log import SELDOM, eventually, opened
from tests.support.tcp_proxy import tcp_proxy

PATIENT = Timing(probe=SELDOM, watch=SELDOM, retention=SELDOM, statement=SELDOM)
"""Nothing of the node that is cut off gives up, as where it is stopped."""
MOST_ANSWERS = 60
MOMENTS = 8
LATER = 1_000_000
LEFT_OPEN = """
select a.query
from pg_stat_activity a
where a.backend_xid is not null and a.state like 'idle in transaction%'
"""

Work = Callable[[str], Awaitable[None]]


async def append(url: str) -> None:
    async with opened(url, timing=PATIENT) as log:
        await log.append([an_event()])


async def append_once(url: str) -> None:
    async with opened(url, timing=PATIENT) as log:
        await log.append_once([an_event()], "key", b"digest")


async def prune(url: str) -> None:
    async with opened(url, timing=PATIENT, max_events=1) as log:
        await log.prune()


async def keep_books(url: str) -> None:
    pool = Pool(lambda: connect(url, statement_seconds=SELDOM), 1)
    try:
        await Bookkeeper(pool, lambda: ORIGIN, interval_seconds=SELDOM).record()
    finally:
        await pool.close()


async def share(url: str) -> None:
    store = PostgresShared(url)
    try:
        await store.start()
        await store.put("key", b"value")
        await store.remove("key")
    finally:
        await store.close()


async def install_anew(url: str) -> None:
    """What `tidegate postgres install` does, from the beginning."""
    session = await connect(f"{url}?options=-c%20search_path%3Dapart", statement_seconds=SELDOM)
    try:
        await install(session)
    finally:
        session.close()


async def capture_a_table(url: str) -> None:
    """As `tidegate postgres capture` applies its statements."""
    session = await connect(url, statement_seconds=SELDOM)
    try:
        statements = ["drop table if exists captured", "create table captured ()"]
        await apply(session, statements, lock_seconds=DEADLINE_SECONDS)
    finally:
        session.close()


WORK: Mapping[str, Work] = {
    work.__name__: work
    for work in (append, append_once, prune, keep_books, share, install_anew, capture_a_table)
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
async def test_a_node_whose_link_is_cut_at_any_answer_leaves_no_transaction_open(
    server: PostgresServer, url: str, work: Work
) -> None:
    with connected(url) as connection:
        execute(connection, "create schema apart")
    async with opened(url) as other, tcp_proxy(server.socket) as proxy:
        tail = aiter(other.tail(ORIGIN))
        there = f"postgres://tidegate@127.0.0.1:{proxy.port}/{database_of(url)}"
        for answers in range(MOST_ANSWERS):
            proxy.silence_after(answers)
            task = asyncio.ensure_future(work(there))
            await eventually(lambda: task.done() or proxy.is_silent, "it is cut off or done")  # noqa: B023
            is_whole = task.done()
            await other.append([an_event(f"order:after {answers}")])
            await until_it_comes(tail, f"after {answers}")
            with connected(url) as connection:
                assert execute(connection, LEFT_OPEN) == []
            proxy.cut()
            with suppress(LogError):
                await task
            if is_whole:
                break
        else:
            raise AssertionError("it was cut off each time")


async def until_it_comes(tail: AsyncIterator[list[Record]], entity_id: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while all(record.event.entity_id != entity_id for record in await anext(tail)):
            pass


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
async def test_what_is_published_elsewhere_is_delivered_while_a_node_that_publishes_under_keys_stands_still(
    serve: Callable[[str], ServedGateway], server: PostgresServer, url: str, end: signal.Signals
) -> None:
    config = toml(log={"url": url}, stream={"heartbeat_seconds": 600})
    stopped, other = serve(config), serve(config)
    async with Client(other.port).stream() as stream:
        await stream.connected()
        for number in range(MOMENTS if end is signal.SIGSTOP else 1):
            async with keyed_load(stopped.port) as answered:
                await answered.more(3)
                stopped.process.send_signal(end)
                await Client(other.port).publish(event(LATER + number))
                await comes(stream, LATER + number)
                stopped.process.send_signal(signal.SIGCONT)


class Answered:
    """How many requests of a load were answered."""

    def __init__(self) -> None:
        self.count = 0

    async def more(self, count: int) -> None:
        wanted = self.count + count
        await eventually(lambda: self.count >= wanted, "the node takes events")


@asynccontextmanager
async def keyed_load(port: int) -> AsyncIterator[Answered]:
    """Eight publishers, each of whose requests has a key of its own."""
    answered = Answered()

    async def publish() -> None:
        while True:
            response = await publish_once([port], [event(0)], uuid.uuid4().hex)
            assert response.status in (201, 503), response.body
            answered.count += 1

    tasks = [asyncio.create_task(publish()) for _ in range(8)]
    try:
        yield answered
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def comes(stream: Stream, number: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await stream.take(1))[0]["data"]["n"] != number:
            pass
