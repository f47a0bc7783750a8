"""The logs that the suite runs over. A new one adds a factory, and nothing else."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.memory import MemoryLog
from adapters.postgres.log import PostgresLog, Timing
from adapters.sqlite import SqliteLog
from gateway.core.events import Event, Position
from gateway.ports.log import EventLog
from tests.support.awkward_log import AwkwardLog
from tests.support.clock import ManualClock
from tests.support.postgres import log_schema
from tests.support.redis import make_log, redis_url

UNTIL_THE_TEST_ENDS = 3600.0

LogFactory = Callable[[int], AbstractAsyncContextManager[EventLog]]
"""Gives a new log, not started yet, that holds about that many events; sees to its end afterwards."""


@asynccontextmanager
async def _memory(max_events: int) -> AsyncIterator[EventLog]:
    log = MemoryLog(ManualClock(), max_events=max_events, max_age_seconds=1e9, max_bytes=10**9)
    yield log
    await log.close()


@asynccontextmanager
async def _awkward(max_events: int) -> AsyncIterator[EventLog]:
    log = AwkwardLog(max_events=max_events)
    yield log
    await log.close()


class _PruningLog(PostgresLog):
    """Prunes after each append rather than by the clock, so that a test knows what is held."""

    async def append(self, events: Sequence[Event]) -> list[Position]:
        positions = await super().append(events)
        await self.prune()
        return positions


@asynccontextmanager
async def _postgres(max_events: int, *, notify: bool) -> AsyncIterator[EventLog]:
    async with log_schema() as url:
        log = _PruningLog(
            url,
            max_events=max_events,
            max_age_seconds=1e9,
            notify=notify,
            timing=Timing(retention=UNTIL_THE_TEST_ENDS),
        )
        yield log
        await log.close()


@asynccontextmanager
async def _redis(max_events: int) -> AsyncIterator[EventLog]:
    log = make_log(redis_url(), max_events=max_events)
    yield log
    await log.close()


@asynccontextmanager
async def _sqlite(max_events: int) -> AsyncIterator[EventLog]:
    with TemporaryDirectory() as directory:
        path = Path(directory, "events.db")
        log = SqliteLog(path, ManualClock(), max_events=max_events, max_age_seconds=1e6)
        yield log
        await log.close()


LOGS: Mapping[str, LogFactory] = {
    "memory": _memory,
    "awkward": _awkward,
    "sqlite": _sqlite,
    "postgres": partial(_postgres, notify=True),
    "postgres-without-notify": partial(_postgres, notify=False),
    "redis": _redis,
}
