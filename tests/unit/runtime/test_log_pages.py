"""A log is read backwards in pages that are decoded quickly."""

import pytest

from gateway.core.events import Position
from gateway.runtime.log_pages import (
    FIRST_RECORDS,
    GROWTH,
    MAX_RECORDS,
    PAGE_BYTES,
    PageSize,
    TailSize,
    newest_first,
)
from tests.support.events import a_record, an_event
from tests.support.shaky_log import ShakyLog


def log_of(count: int) -> ShakyLog:
    log = ShakyLog()
    log.put_events(*(an_event(f"order:{number}") for number in range(1, count + 1)))
    return log


async def numbers(log: ShakyLog, count: int, before: Position | None = None) -> list[list[int]]:
    """The numbers of the events, page by page."""
    return [[record.position.major for record in page] async for page, _ in newest_first(log, count, before)]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 300, 2000])
async def test_the_newest_come_page_by_page_each_with_the_oldest_first(count: int) -> None:
    pages = await numbers(log_of(2000), count)
    assert [number for page in reversed(pages) for number in page] == list(range(2001 - count, 2001))
    assert len(pages[0]) == min(count, FIRST_RECORDS)


async def test_they_come_from_right_before_a_position() -> None:
    pages = await numbers(log_of(50), 20, Position(31, 0))
    assert [number for page in reversed(pages) for number in page] == list(range(11, 31))


async def test_there_are_no_more_than_the_log_holds() -> None:
    log = log_of(40)
    log.trim_to(Position(5, 0))
    pages = await numbers(log, 1000)
    assert [number for page in reversed(pages) for number in page] == list(range(6, 41))
    assert await numbers(ShakyLog(), 1000) == []


@pytest.mark.parametrize(
    ("event_bytes", "expected"), [(1, MAX_RECORDS), (10_000, PAGE_BYTES // 10_100), (10**6, 1)]
)
def test_a_page_has_as_many_records_as_those_before_were_large(event_bytes: int, expected: int) -> None:
    size = PageSize()
    page = [a_record(number, an_event(data={"x": "y" * event_bytes})) for number in range(1, 17)]
    assert size.learn(page) == pytest.approx(16 * (event_bytes + 150), rel=0.05, abs=2000)
    assert size.records == pytest.approx(expected, abs=1)


def test_an_empty_page_says_nothing() -> None:
    size = PageSize()
    assert size.learn([]) == 0
    assert size.records == FIRST_RECORDS


def test_a_tail_takes_more_at_once_only_where_there_was_more() -> None:
    size = TailSize()
    taken = []
    for came in (1, FIRST_RECORDS, 10**9, 10**9, 10**9, 1, 0):
        page = [a_record(number) for number in range(1, 1 + min(came, size.records))]
        size.learn(page)
        taken.append(size.records)
    first = FIRST_RECORDS
    assert taken == [first, first * GROWTH, first * GROWTH**2, MAX_RECORDS, MAX_RECORDS, first, first]
