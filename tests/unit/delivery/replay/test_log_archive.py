"""The log as older entries of the history: what is read, how often, and what is kept."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.events import ORIGIN, Position
from gateway.core.history import History
from gateway.delivery.pace import Pace
from gateway.delivery.replay.log_archive import LogArchive
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.support.loop import let_others_run
from tests.support.shaky_log import ShakyLog

COUNT = 12


@pytest.fixture
def log() -> ShakyLog:
    log = ShakyLog()
    log.put_events(*[an_event(data={"n": n}) for n in range(COUNT)])
    return log


@pytest.fixture
def history() -> History:
    history = History(max_events=3, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
    history.open("e", ORIGIN)
    return history


PACE = Pace(records_a_read=2)


@pytest.fixture
def archive(log: ShakyLog, history: History, clock: ManualClock) -> LogArchive:
    """Reads two records at a time."""
    return LogArchive(log, history, clock, Slices(clock), PACE)


@pytest.fixture
async def narrow(archive: LogArchive, log: ShakyLog, history: History, clock: ManualClock) -> LogArchive:
    """The same, which keeps two reads and a half; it has read what follows the floor."""
    size = sum(entry.size for entry in await archive.after(ORIGIN))
    narrow = LogArchive(log, history, clock, Slices(clock), replace(PACE, kept_bytes=2 * size + size // 2))
    await narrow.after(ORIGIN)
    log.reads = 1
    return narrow


async def numbers(archive: LogArchive, after: int) -> list[int]:
    entries = await archive.after(Position(after, 0) if after else ORIGIN)
    return [entry.position.major for entry in entries]


async def test_what_was_read_is_given_again_without_the_log(archive: LogArchive, log: ShakyLog) -> None:
    assert await numbers(archive, 4) == [5, 6]
    assert await numbers(archive, 4) == [5, 6]
    assert await numbers(archive, 5) == [6]
    assert log.reads == 1


async def test_many_who_come_for_the_same_at_once_are_read_for_once(
    archive: LogArchive, log: ShakyLog
) -> None:
    log.may_read.clear()
    # More than may read at a time: those that had to wait look again before they read themselves.
    readers = [asyncio.create_task(numbers(archive, 4)) for _ in range(3 * PACE.reads_at_once)]
    await let_others_run()
    log.may_read.set()
    assert await asyncio.gather(*readers) == [[5, 6]] * len(readers)
    assert log.reads == PACE.reads_at_once


async def test_no_more_is_kept_than_so_many_bytes_the_least_used_goes_first(
    narrow: LogArchive, log: ShakyLog
) -> None:
    await numbers(narrow, 2)
    await numbers(narrow, 0)
    assert log.reads == 2
    await numbers(narrow, 4)  # in the place of what follows 2
    assert log.reads == 3
    await numbers(narrow, 0)
    assert log.reads == 3
    await numbers(narrow, 2)
    assert log.reads == 4


async def test_a_segment_that_is_read_again_counts_once(narrow: LogArchive, log: ShakyLog) -> None:
    log.may_read.clear()
    readers = [asyncio.create_task(numbers(narrow, 2)) for _ in range(4)]
    await let_others_run()
    log.may_read.set()
    await asyncio.gather(*readers)
    reads = log.reads
    assert [await numbers(narrow, 0), await numbers(narrow, 2)] == [[1, 2], [3, 4]]
    assert log.reads == reads
