"""However transactions overlap, a captured table's state and the events after its cursor give the table."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's name of the class

from adapters.postgres.log import PostgresLog
from gateway.core.events import Cursor, Record
from gateway.core.selectors import Selector
from gateway.ports.state import StateReading
from tests.support.capture import shop
from tests.support.postgres import connected, execute
from tests.support.postgres_log import opened
from tests.support.state import Items, folded, items_of

WRITERS = 3
KEYS = 4
TABLE = "create table orders (id int primary key, total int)"
SHAPES = {
    None: "select id::text, to_jsonb(o) from orders as o",
    "select id, total::text as total from row where total % 3 > 0": (
        "select id::text, jsonb_build_object('id', id, 'total', total::text) from orders where total % 3 > 0"
    ),
}
"""What rows are captured as, and the items that the table then holds."""
UPSERT = "insert into orders values ({key}, {value}) on conflict (id) do update set total = excluded.total"
DELETE = "delete from orders where id = {key}"
SAVE = "savepoint part"
UNDO = "rollback to savepoint part"

actions = st.sampled_from(
    (UPSERT,) * 4 + (DELETE, SAVE, UNDO, "rollback") + ("commit",) * 3 + ("read", "read on")
)
steps = st.lists(
    st.tuples(actions, st.integers(0, WRITERS - 1), st.integers(1, KEYS)), min_size=20, max_size=60
)
"""What happens, on which writer's connection, to which of its rows. A reading begins, and is ended."""


@dataclass
class Writer:
    """A connection that writes to rows of its own, so that no writer waits for another."""

    connection: Connection
    number: int
    is_open: bool = False
    has_savepoint: bool = False

    def take(self, action: str, key: int, value: int) -> None:
        if action in ("commit", "rollback"):
            self.end(action)
            return
        if not self.is_open:
            self.is_open = True
            execute(self.connection, "begin")
        if action == UNDO and not self.has_savepoint:
            action = SAVE
        self.has_savepoint |= action == SAVE
        execute(self.connection, action.format(key=10 * self.number + key, value=value))

    def end(self, action: str) -> None:
        if self.is_open:
            execute(self.connection, action)
        self.is_open = self.has_savepoint = False


@dataclass
class World:
    """The writers, the log of their table, and what readings gave."""

    log: PostgresLog
    writers: Sequence[Writer]
    items: str
    reading: tuple[AbstractAsyncContextManager[StateReading], StateReading] | None = None
    readings: list[tuple[Cursor, Items]] = field(default_factory=list)

    async def take(self, action: str, writer: int, key: int, value: int) -> None:
        if action == "read":
            await self.end_reading()
            context = self.log.state.read(["order"], Selector())
            self.reading = context, await context.__aenter__()
        elif action == "read on":
            await self.end_reading()
        else:
            self.writers[writer].take(action, key, value)

    async def end_reading(self) -> None:
        if self.reading is not None:
            (context, reading), self.reading = self.reading, None
            items = await items_of(reading)
            self.readings.append((reading.cursor, items.get("order", {})))
            await context.__aexit__(None, None, None)

    async def check(self) -> None:
        """Every reading, and what its stream gets, come to what the table holds."""
        rows = execute(self.writers[0].connection, self.items)
        for cursor, items in self.readings:
            assert cursor.epoch == self.log.epoch
            records: list[Record] = []
            while page := await self.log.read(records[-1].position if records else cursor.position, 100):
                records += page
            assert folded(items, [record.event for record in records]) == dict(rows)


async def a_world(stack: AsyncExitStack, query: str | None) -> World:
    running = await stack.enter_async_context(shop(TABLE))
    await running.capture(query=query)
    log = await stack.enter_async_context(opened(running.url))
    writers = [Writer(stack.enter_context(connected(running.url)), n) for n in range(WRITERS)]
    return World(log, writers, SHAPES[query])


async def play(world: World, taken: Sequence[tuple[str, int, int]]) -> None:
    for writer in world.writers:
        writer.end("rollback")  # of a run that failed
    world.reading, world.readings = None, []
    for value, (action, writer, key) in enumerate(taken):
        await world.take(action, writer, key, value)
    await world.take("read", 0, 0, 0)
    for number, writer in enumerate(world.writers):
        writer.end("rollback" if number else "commit")
    await world.take("read", 0, 0, 0)
    await world.end_reading()
    await world.check()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=SHAPES, ids=["rows", "a query of them"])
def world(runner: asyncio.Runner, request: pytest.FixtureRequest) -> Iterator[World]:
    """One for all examples: each goes on with the table that the last one left."""
    stack = AsyncExitStack()
    try:
        yield runner.run(a_world(stack, request.param))
    finally:
        runner.run(stack.aclose())


@given(taken=steps)
def test_the_state_and_the_events_after_it_are_the_table(
    runner: asyncio.Runner, world: World, taken: Sequence[tuple[str, int, int]]
) -> None:
    runner.run(play(world, taken))
