"""SQLite logs as tests need them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite import SqliteLog
from gateway.core.errors import LogError
from gateway.core.events import Event, Record
from tests.support.clock import ManualClock
from tests.support.events import an_event


def make_log(path: Path, clock: ManualClock | None = None, **options: Any) -> SqliteLog:
    """A log at `path` with large bounds, or those that are given; not started yet."""
    bounds: dict[str, Any] = {"max_events": 100_000, "max_age_seconds": 1e6}
    return SqliteLog(path, clock or ManualClock(), **(bounds | options))


@asynccontextmanager
async def opened(path: Path, clock: ManualClock | None = None, **options: Any) -> AsyncIterator[SqliteLog]:
    """The log at `path`, started, and closed at the end."""
    log = make_log(path, clock, **options)
    await log.start()
    try:
        yield log
    finally:
        await log.close()


async def refusal(log: SqliteLog) -> str:
    """What is said where the log can't be started."""
    with pytest.raises(LogError) as failure:
        await log.start()
    return failure.value.detail


async def everything(log: SqliteLog) -> list[Record]:
    """All that the log holds."""
    return await log.read((await log.bounds()).floor, 1_000_000)


def numbered(count: int, first: int = 0) -> list[Event]:
    """Events of orders with consecutive ids."""
    return [an_event(f"order:{number}") for number in range(first, first + count)]


def mark_of(path: Path) -> Path:
    """The mark beside the log's file."""
    return path.with_name(f"{path.name}.mark")
