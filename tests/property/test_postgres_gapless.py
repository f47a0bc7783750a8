"""However transactions overlap, a reader of the log in Postgres gets all that was committed, in order."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's name of the class

from adapters.postgres.log import PostgresLog
from gateway.core.events import ORIGIN, Position, Record
from tests.support.events import an_event
from tests.support.postgres import connected, execute, log_schema
from tests.support.postgres_log import opened

WRITERS = 3
INSERT = """
insert into sync_events (event_type, entity_type, entity_id, action) values ('changed', 'order', %s, 'update')
"""

writers = st.integers(0, WRITERS - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), writers),
        st.tuples(st.just("commit"), writers),
        st.tuples(st.just("rollback"), writers),
        st.tuples(st.just("append"), st.just(0)),
        st.tuples(st.just("read"), st.integers(1, 3)),
    ),
    min_size=12,
    max_size=30,
)
"""What happens on which writer's connection; a read has a limit instead. A writer without an open transaction
inserts, which begins one, whatever it was to do."""


@dataclass
class World:
    """The writers' connections, the log, and what the one reader has got of one run."""

    log: PostgresLog
    connections: Sequence[Connection]
    next_id: int = 0
    records: list[Record] = field(default_factory=list)
    committed: list[list[str]] = field(default_factory=list)
    open: dict[int, list[str]] = field(default_factory=dict)
    start: Position = ORIGIN

    async def begin(self) -> None:
        self._end_all()  # of a run that failed
        self.start = (await self.log.bounds()).head
        self.records, self.committed = [], []

    async def take(self, step: tuple[str, int]) -> None:
        action, number = step
        if action == "append":
            ids: list[str] = []
            events = [an_event(f"order:{self._new_id(ids)}") for _ in range(2)]
            await self.log.append(events)
            self.committed.append(ids)
        elif action == "read":
            await self.read(number)
        elif action == "insert" or number not in self.open:
            self._insert(number)
        else:
            execute(self.connections[number], action)
            ids = self.open.pop(number)
            if action == "commit":
                self.committed.append(ids)

    def _insert(self, number: int) -> None:
        if number not in self.open:
            execute(self.connections[number], "begin")
        execute(self.connections[number], INSERT, (self._new_id(self.open.setdefault(number, [])),))

    def _end_all(self) -> None:
        for number in self.open:
            execute(self.connections[number], "rollback")
        self.open = {}

    def _new_id(self, ids: list[str]) -> str:
        self.next_id += 1
        ids.append(str(self.next_id))
        return ids[-1]

    async def read(self, limit: int) -> bool:
        after = self.records[-1].position if self.records else self.start
        page = await self.log.read(after, limit)
        self.records += page
        return bool(page)

    async def finish(self) -> None:
        """Rolls back what is open, reads to the head, and compares."""
        self._end_all()
        while await self.read(100):
            pass
        got = [record.event.entity_id for record in self.records]
        positions = [record.position for record in self.records]
        assert positions == sorted(set(positions))
        assert sorted(map(str, got)) == sorted(name for ids in self.committed for name in ids)
        for ids in self.committed:
            assert [name for name in got if name in ids] == ids


async def a_world(stack: AsyncExitStack) -> World:
    url = await stack.enter_async_context(log_schema())
    log = await stack.enter_async_context(opened(url))
    return World(log, [stack.enter_context(connected(url)) for _ in range(WRITERS)])


async def play(world: World, taken: Sequence[tuple[str, int]]) -> None:
    await world.begin()
    for step in taken:
        await world.take(step)
    await world.finish()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def world(runner: asyncio.Runner) -> Iterator[World]:
    """One for all examples: each begins where the log ends."""
    stack = AsyncExitStack()
    try:
        yield runner.run(a_world(stack))
    finally:
        runner.run(stack.aclose())


@given(taken=steps)
def test_every_committed_event_is_read_once_and_in_its_order_however_transactions_overlap(
    runner: asyncio.Runner, world: World, taken: Sequence[tuple[str, int]]
) -> None:
    runner.run(play(world, taken))
