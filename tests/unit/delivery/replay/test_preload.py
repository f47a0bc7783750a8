"""The end of the log becomes the history."""

import asyncio

import pytest

from gateway.core.errors import EpochChanged, LogError
from gateway.core.events import Position, Record, event_json
from gateway.core.history import History
from gateway.delivery.replay.preload import warm
from gateway.ports.log import Bounds
from gateway.runtime.log_pages import PAGE_BYTES
from gateway.runtime.slices import SLICE_SECONDS
from tests.support.clock import BusyClock, ManualClock
from tests.support.events import an_event
from tests.support.shaky_log import ShakyLog


def history_of(max_events: int = 1000, max_bytes: int = 10**9) -> History:
    return History(max_events=max_events, max_age_seconds=1e9, max_bytes=max_bytes, id_aliases={})


def log_of(count: int) -> ShakyLog:
    log = ShakyLog()
    log.put_events(*(an_event(f"order:{number}", data={"x": "y" * 100}) for number in range(1, count + 1)))
    return log


def held(history: History) -> list[int]:
    return [entry.position.major for entry in history.latest(10**6)]


async def test_a_log_that_holds_little_is_held_whole_down_to_its_floor(clock: ManualClock) -> None:
    log, history = log_of(10), history_of()
    log.trim_to(Position(4, 0))
    await warm(log, history, clock)
    assert history.epoch == "e"
    assert held(history) == [5, 6, 7, 8, 9, 10]
    assert history.floor_position == Position(4, 0)
    assert history.resolve("e.4-0") == history.floor
    assert history.resolve("e.3-0") == "trimmed"


async def test_an_empty_log_gives_an_empty_history_at_its_floor(clock: ManualClock) -> None:
    log, history = log_of(3), history_of()
    log.trim_to(Position(3, 0))
    await warm(log, history, clock)
    assert held(history) == []
    assert history.head_position == history.floor_position == Position(3, 0)


@pytest.mark.parametrize("held_events", [1, 4, 15, 16, 17, 400, 999])
async def test_of_a_longer_log_the_newest_are_held_and_the_floor_is_the_event_before(
    clock: ManualClock, held_events: int
) -> None:
    log, history = log_of(1000), history_of(max_events=held_events)
    await warm(log, history, clock)
    assert held(history) == list(range(1001 - held_events, 1001))
    assert history.floor_position == Position(1000 - held_events, 0)
    assert history.resolve(f"e.{1000 - held_events}-0") == history.floor


async def test_a_log_that_holds_exactly_as_many_is_held_whole(clock: ManualClock) -> None:
    log, history = log_of(4), history_of(max_events=4)
    await warm(log, history, clock)
    assert held(history) == [1, 2, 3, 4]
    assert history.floor_position == Position(0, 0)


class CountingLog(ShakyLog):
    """Notes how many bytes of JSON its answers had."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: list[int] = []

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        page = await super().latest(limit, before)
        self.pages.append(sum(len(event_json(record.event, "", {})) for record in page))
        return page


async def test_no_more_is_read_of_large_events_than_the_bytes_allow(clock: ManualClock) -> None:
    log = CountingLog()
    log.put_events(*(an_event(data={"x": "y" * 10_000}) for _ in range(500)))
    history = history_of(max_bytes=500_000)
    await warm(log, history, clock)
    assert sum(log.pages) <= 500_000 + PAGE_BYTES
    assert 400_000 <= history.size_bytes <= 500_000
    assert held(history)[-1] == 500
    assert history.resolve(f"e.{held(history)[0] - 1}-0") == history.floor


async def test_where_fewer_were_read_than_there_was_room_for_the_floor_is_the_event_before(
    clock: ManualClock,
) -> None:
    # The odd ones are those by which a page of sixteen is judged: it is taken for twice as large as it is.
    log, history = ShakyLog(), history_of(max_bytes=700_000)
    log.put_events(*(an_event(data={"x": "y" * 60_000 * (number % 2)}) for number in range(1, 101)))
    await warm(log, history, clock)
    assert history.resolve(f"e.{held(history)[0] - 1}-0") == history.floor
    assert history.resolve(f"e.{held(history)[0] - 2}-0") == "trimmed"


@pytest.mark.parametrize("event_bytes", [100, 6000, 60_000])
async def test_no_page_is_much_larger_than_what_is_decoded_in_one_piece(
    clock: ManualClock, event_bytes: int
) -> None:
    log, history = CountingLog(), history_of()
    log.put_events(*(an_event(data={"x": "y" * event_bytes}) for _ in range(300)))
    await warm(log, history, clock)
    assert held(history) == list(range(1, 301))
    assert max(log.pages) <= 4 * PAGE_BYTES


async def test_others_have_their_turns_while_the_history_fills() -> None:
    # Each look at the clock takes a tenth of a slice, and there is one look at least for each event.
    log, history = log_of(1000), history_of()
    task = asyncio.create_task(warm(log, history, BusyClock(SLICE_SECONDS / 10)))
    fill_levels = set()
    while not task.done():
        fill_levels.add(history.head)
        await asyncio.sleep(0)
    assert held(history) == list(range(1, 1001))
    assert len(fill_levels) >= 1000 / 11


class TrimmedMeanwhile(ShakyLog):
    """Drops events between the calls."""

    async def bounds(self) -> Bounds:
        self.trim_to(Position(8, 0))
        return await super().bounds()


async def test_what_the_log_lets_go_of_meanwhile_is_not_held(clock: ManualClock) -> None:
    log, history = TrimmedMeanwhile(), history_of()
    log.put_events(*(an_event() for _ in range(10)))
    await warm(log, history, clock)
    assert held(history) == [9, 10]
    assert history.floor_position == Position(8, 0)


class StartsOverMeanwhile(ShakyLog):
    """Starts over between the calls."""

    async def bounds(self) -> Bounds:
        self.start_over("f")
        return await super().bounds()


async def test_a_log_that_starts_over_meanwhile_is_said(clock: ManualClock) -> None:
    log = StartsOverMeanwhile()
    log.put_events(an_event())
    with pytest.raises(EpochChanged):
        await warm(log, history_of(), clock)


async def test_a_log_that_is_out_of_reach_is_said(clock: ManualClock) -> None:
    log = log_of(1)
    log.lose()
    with pytest.raises(LogError):
        await warm(log, history_of(), clock)
