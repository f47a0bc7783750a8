"""Reading and loading a log whose server is being broken, and keeping account of every event."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.postgres.log import PostgresLog, Timing
from gateway.core.errors import LogError, TrimmedError
from gateway.core.events import Event, Position, Record
from tests.support.events import an_event

DEADLINE_SECONDS = 60.0
"""When something that should come about has failed to; nothing waits for it otherwise."""
SELDOM = 3600.0
"""A period that no test lives to see."""
_PACE_SECONDS = 0.003

LAST = "last"


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[PostgresLog]:
    """A started log that holds everything, unless `options` say otherwise; closed at the end."""
    defaults: dict[str, Any] = {
        "max_events": 1_000_000,
        "max_age_seconds": 1e9,
        "timing": Timing(retention=SELDOM),
    }
    log = PostgresLog(url, **(defaults | options))
    try:
        await log.start()
        yield log
    finally:
        await log.close()


async def eventually(holds: Callable[[], bool], what: str) -> None:
    """Returns once `holds()`: for what other processes bring about. Fails where they never do."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not holds():  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(_PACE_SECONDS)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


async def follow(log: PostgresLog, after: Position, is_over: Callable[[Record], bool]) -> list[Record]:
    """What a tail gives up to the record at which it is over, started again wherever the log was lost."""
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                async for batch in log.tail(records[-1].position if records else after):
                    for record in batch:
                        records.append(record)
                        if is_over(record):
                            return records
            except TrimmedError:
                raise
            except LogError:
                # As whoever follows a log does: not at once again.
                await asyncio.sleep(_PACE_SECONDS)


def numbered(*numbers: int) -> list[Event]:
    return [an_event(f"order:{number}") for number in numbers]


def names(records: Sequence[Record]) -> list[str | None]:
    return [record.event.entity_id for record in records]


async def publish(log: PostgresLog, count: int) -> list[Position]:
    """Appends so many events, each in a transaction of its own."""
    return [(await log.append(numbered(number))).positions[0] for number in range(count)]


async def next_of(tail: AsyncIterator[list[Record]], count: int) -> list[Record]:
    """The next records of a tail, so many at least."""
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(records) < count:
            records += await anext(tail)
    return records


async def loss_of(tail: AsyncIterator[list[Record]]) -> tuple[LogError, list[Record]]:
    """How a tail ends, other than by a server that can't be reached for a while, and what it gave before."""
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            while True:
                records += await anext(tail)
        except LogError as error:
            return error, records


def is_last(record: Record) -> bool:
    return record.event.entity_id == LAST


@dataclass
class Load:
    """Appends batch after batch, two at a time, and keeps account: every event has an id of its own."""

    log: PostgresLog
    acknowledged: list[list[str]] = field(default_factory=list)
    unknown: list[list[str]] = field(default_factory=list)
    _number: int = 0
    _is_over: bool = False

    async def run(self) -> None:
        """Appends until `finish`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(self._append())

    async def _append(self) -> None:
        while not self._is_over:
            self._number += 1
            ids = [f"{self._number}/{part}" for part in range(self._number % 3 + 1)]
            try:
                await self.log.append([an_event(f"order:{entity_id}") for entity_id in ids])
                self.acknowledged.append(ids)
            except LogError:
                self.unknown.append(ids)
            await asyncio.sleep(_PACE_SECONDS)

    async def goes_on(self, batches: int = 30) -> None:
        """Returns once that many more were acknowledged."""
        target = len(self.acknowledged) + batches
        await eventually(lambda: len(self.acknowledged) >= target, "the log takes events")

    def end(self) -> None:
        self._is_over = True

    def account(self, records: list[Record]) -> None:
        """Fails unless `records` hold all that was acknowledged, once, in order, and whole batches."""
        positions = [record.position for record in records]
        assert positions == sorted(set(positions)), "positions grow"
        got = [record.event.entity_id for record in records if record.event.entity_id != LAST]
        assert len(got) == len(set(got)), "nothing twice"
        for ids in self.acknowledged:
            assert [name for name in got if name in ids] == ids, "all that was acknowledged, in its order"
        for ids in self.unknown:
            assert [name for name in got if name in ids] in (ids, []), "a batch is all or nothing"
        known = {name for ids in self.acknowledged + self.unknown for name in ids}
        assert known.issuperset(name for name in got if name is not None), "nothing that nobody sent"


@asynccontextmanager
async def under_load(log: PostgresLog) -> AsyncIterator[Load]:
    """A load on `log` and a tail of it. At the end both are finished, and every event accounted for."""
    start = (await log.bounds()).head
    load = Load(log)
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(follow(log, start, is_last))
        writer = group.create_task(load.run())
        await load.goes_on()
        yield load
        await load.goes_on()
        load.end()
        await writer
        await log.append([an_event(f"order:{LAST}")])
        records = await reader
    load.account(records)
