"""The logs that the suite runs over. A new one adds a factory, and nothing else."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.memory import MemoryLog
from adapters.sqlite import SqliteLog
from gateway.log import EventLog
from tests.support.awkward_log import AwkwardLog
from tests.support.clock import ManualClock

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


@asynccontextmanager
async def _sqlite(max_events: int) -> AsyncIterator[EventLog]:
    with TemporaryDirectory() as directory:
        path = Path(directory, "events.db")
        log = SqliteLog(path, ManualClock(), max_events=max_events, max_age_seconds=1e6)
        yield log
        await log.close()


LOGS: Mapping[str, LogFactory] = {"memory": _memory, "awkward": _awkward, "sqlite": _sqlite}
