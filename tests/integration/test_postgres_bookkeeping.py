"""Bookkeeping in the database: what was processed when, and rows about the health of sync."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.postgres.bookkeeping import Bookkeeper
from adapters.postgres.connection import connect
from adapters.postgres.log import PostgresLog
from adapters.postgres.pool import Pool
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Position
from tests.support.capture import ORDERS, Shop, shop
from tests.support.postgres import DEADLINE_SECONDS

UNPROCESSED = "select e.entity_id from sync_events as e where e.processed_at is null order by e.xid, e.id"
LAST = "select e.xid::text, e.id from sync_events as e order by e.xid desc, e.id desc limit 1"
METRICS = (
    "select m.metric_name, m.metric_value::float8, m.unit, m.status from system_metrics as m"
    " where m.metric_type = 'sync_health' order by m.recorded_at desc, m.metric_name limit 4"
)


class Node:
    """A gateway as far as the bookkeeping is concerned: a bookkeeper, and how far its streams are."""

    def __init__(self, running: Shop, pool: Pool) -> None:
        self._shop = running
        self._pool = pool
        self.position = ORIGIN

    def catch_up(self) -> None:
        """Has given everything in the log to its streams."""
        ((xid, number),) = self._shop.sql(LAST)
        self.position = Position(int(xid), number)

    def bookkeeper(self, **options: float) -> Bookkeeper:
        return Bookkeeper(
            self._pool, lambda: self.position, **({"interval_seconds": 30.0, "batch": 2} | options)
        )

    def metrics(self) -> dict[str, tuple[float, str, str]]:
        return {name: (value, unit, status) for name, value, unit, status in self._shop.sql(METRICS)}


@pytest.fixture
async def running() -> AsyncIterator[Shop]:
    async with shop(ORDERS) as orders:
        await orders.capture()
        yield orders


@pytest.fixture
async def node(running: Shop) -> AsyncIterator[Node]:
    pool = Pool(lambda: connect(running.url), 2)
    yield Node(running, pool)
    await pool.close()


async def test_events_that_a_node_has_given_out_are_marked_and_others_are_not(
    running: Shop, node: Node
) -> None:
    books = node.bookkeeper()
    await books.record()
    running.sql("insert into orders select unnest(array['A', 'B', 'C', 'D', 'E'])")
    node.catch_up()
    running.sql("insert into orders values ('F')")

    assert await books.record() == 5

    assert running.sql(UNPROCESSED) == [("F",)]
    node.catch_up()
    assert await books.record() == 1
    assert running.sql(UNPROCESSED) == []
    assert await books.record() == 0


async def test_what_came_before_the_bookkeeping_is_not_marked(running: Shop, node: Node) -> None:
    running.sql("insert into orders values ('A')")
    node.catch_up()
    books = node.bookkeeper()
    await books.record()
    running.sql("insert into orders values ('B')")
    node.catch_up()

    assert await books.record() == 1
    assert running.sql(UNPROCESSED) == [("A",)]


async def test_each_time_rows_about_the_health_of_sync_are_added(running: Shop, node: Node) -> None:
    books = node.bookkeeper()
    await books.record()
    running.sql("insert into orders values ('A'), ('B')")
    node.catch_up()

    await books.record()

    metrics = node.metrics()
    assert set(metrics) == {"events_per_second", "waiting_events", "sync_latency", "capture_gaps"}
    assert metrics["waiting_events"] == (0, "events", "normal")
    assert metrics["sync_latency"] == (0, "ms", "normal")
    assert metrics["capture_gaps"] == (0, "events", "normal")
    assert metrics["events_per_second"][0] > 0


@pytest.mark.parametrize(
    ("age", "status"), [("0.2 seconds", "normal"), ("2 minutes", "warning"), ("20 minutes", "critical")]
)
async def test_the_age_of_what_waits_says_how_serious_it_is(
    running: Shop, node: Node, age: str, status: str
) -> None:
    books = node.bookkeeper(warning_ms=90_000.0, critical_ms=900_000.0)
    await books.record()
    running.sql("insert into orders values ('A')")
    running.sql("update sync_events set recorded_at = clock_timestamp() - %s::interval", age)

    await books.record()

    assert node.metrics()["sync_latency"][2] == status
    assert node.metrics()["waiting_events"] == (1, "events", "normal")


async def test_capture_gaps_are_told_once(running: Shop, node: Node) -> None:
    books = node.bookkeeper()
    await books.record()
    running.sql("insert into orders values ('')")

    await books.record()
    first = node.metrics()["capture_gaps"]
    await books.record()

    assert first == (1, "events", "warning")
    assert node.metrics()["capture_gaps"] == (0, "events", "normal")


async def test_old_rows_are_deleted(running: Shop, node: Node) -> None:
    books = node.bookkeeper(keep_seconds=60.0)
    await books.record()
    running.sql("update system_metrics set recorded_at = recorded_at - interval '61 seconds'")

    await books.record()

    assert running.sql("select count(*) from system_metrics") == [(4,)]


async def test_while_one_node_is_at_it_another_does_nothing(running: Shop, node: Node) -> None:
    books = node.bookkeeper()
    await books.record()
    running.sql("insert into orders values ('A')")
    node.catch_up()
    running.sql("begin")
    running.sql("select pg_advisory_xact_lock(hashtext('sync_bookkeeping'), hashtext(current_schema()))")

    assert await books.record() == 0

    running.sql("commit")
    assert running.sql("select count(*) from system_metrics") == [(4,)]
    assert await books.record() == 1


async def test_an_emptied_log_begins_anew(running: Shop, node: Node) -> None:
    books = node.bookkeeper()
    running.sql("insert into orders values ('A')")
    node.position = Position(2**40, 0)
    await books.record()
    running.sql("truncate sync_events")
    node.position = ORIGIN
    await books.record()
    running.sql("insert into orders values ('B')")
    node.catch_up()

    assert await books.record() == 1


async def test_a_log_keeps_the_books_of_what_its_reader_has_dealt_with(running: Shop) -> None:
    log = PostgresLog(running.url, max_events=100, max_age_seconds=60, bookkeeping_seconds=0.01)
    await log.start()
    try:
        tail = log.tail(ORIGIN)
        running.sql("insert into orders values ('A')")
        (first,) = await anext(tail)
        running.sql("insert into orders values ('B')")
        (second,) = await anext(tail)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while running.sql("select count(*) from system_metrics") == [(0,)]:
                await log.bounds()
        assert (first.event.entity_id, second.event.entity_id) == ("A", "B")
        assert ("B",) in running.sql(UNPROCESSED)
    finally:
        await log.close()


async def test_without_the_server_a_run_fails_and_says_so() -> None:
    pool = Pool(lambda: connect("postgres://nobody@/x?host=/nowhere"), 1)

    with pytest.raises(LogError):
        await Bookkeeper(pool, lambda: ORIGIN, interval_seconds=30.0).record()
