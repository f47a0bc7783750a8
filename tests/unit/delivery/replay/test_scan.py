"""What a poll is answered with, looked for in slices while the history goes on."""

import asyncio
from typing import Any

import pytest
from multidict import MultiDict

from gateway.core.access_errors import InvalidToken
from gateway.core.credentials import Credentials
from gateway.core.events import Cursor, Event, Position
from gateway.core.history import History
from gateway.core.revocations import Revocation, Revocations
from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.scan import LATEST_LOG_ENTRIES, SCAN_LOG_ENTRIES, Batch, Scanner
from gateway.runtime.slices import SLICE_SECONDS, Slices
from tests.support.clock import BusyClock
from tests.support.events import TIMESTAMP, a_record, an_event
from tests.support.loop import until
from tests.support.shaky_log import ShakyLog

EVENTS = 3000
ENTRIES_A_SLICE = 50
RARE = parse_selector(MultiDict({"filter": "rare=is.true"}), {})
ALL = Selector()


class Bench:
    """A history of events `e.1-0`, `e.2-0`, …; the log behind it holds them all."""

    def __init__(self, max_events: int = 10_000) -> None:
        # What costs time is a look at the clock, of which a scan takes one for each entry.
        self.clock = BusyClock(SLICE_SECONDS / ENTRIES_A_SLICE)
        self.log = ShakyLog()
        self.history = History(max_events=max_events, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
        self.history.open("e", Position(0, 0))
        slices = Slices(self.clock)
        archive = LogArchive(self.log, self.history, self.clock, slices)
        self.revocations = Revocations()
        self.scanner = Scanner(self.history, archive, slices, self.revocations)

    def add(self, count: int, **data: Any) -> None:
        for _ in range(count):
            self.put(an_event("order:1", data=data))

    def put(self, event: Event) -> None:
        record = a_record(self.history.head_position.major + 1, event)
        self.log.put(record)
        self.history.append(record, 0.0)
        self.history.trim(0.0, self.history.head)

    def scan(
        self, selector: Selector, limit: int = 10, credentials: Credentials | None = None
    ) -> "asyncio.Task[Any]":
        """A scan from the beginning, of what the log holds or the history."""
        place = Position(0, 0) if self.history.floor else 0
        return asyncio.create_task(self.scanner.scan(selector, place, limit, credentials))

    def latest(
        self, selector: Selector, limit: int = 10, credentials: Credentials | None = None
    ) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.scanner.latest(selector, limit, credentials))

    async def goes_on(self, entries: int) -> None:
        """Returns in the midst of the scan, once it has looked at that many entries."""
        until_then = self.clock.now + entries * SLICE_SECONDS / ENTRIES_A_SLICE
        await until(lambda: self.clock.now >= until_then, "the scan never came so far")


async def turns_of(task: "asyncio.Task[Any]") -> int:
    """How many turns others have until the task is done."""
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    return turns


def positions(batch: Batch) -> list[int]:
    return [int(event.split(b'"e.', 1)[1].split(b"-", 1)[0]) for event in batch.events]


@pytest.mark.parametrize("held", [EVENTS, 100])
@pytest.mark.parametrize("look", [Bench.scan, Bench.latest])
async def test_others_have_their_turns_while_nothing_is_found(look: Any, held: int) -> None:
    bench = Bench(max_events=held)
    bench.add(EVENTS)
    assert await turns_of(look(bench, RARE)) >= EVENTS / (ENTRIES_A_SLICE + 2)


@pytest.mark.parametrize("held", [EVENTS, 100])
@pytest.mark.parametrize("look", [Bench.scan, Bench.latest])
async def test_a_caller_that_goes_away_ends_its_scan(look: Any, held: int) -> None:
    bench = Bench(max_events=held)
    bench.add(EVENTS)
    task = look(bench, RARE)
    await bench.goes_on(500)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    stopped_at = bench.clock.now
    for _ in range(100):
        await asyncio.sleep(0)
    assert bench.clock.now == stopped_at


async def test_what_comes_during_a_scan_is_found_by_it() -> None:
    bench = Bench()
    bench.add(EVENTS)
    task = bench.scan(RARE)
    await bench.goes_on(EVENTS - 10)
    bench.add(1, rare=True)
    bench.add(1)
    batch = await task
    assert positions(batch) == [EVENTS + 1]
    assert (batch.cursor.position, batch.more) == (Position(EVENTS + 2, 0), False)


@pytest.mark.parametrize("look_at", [700, 1100, 2900])
async def test_what_the_history_lets_go_of_during_a_scan_comes_from_the_log(look_at: int) -> None:
    bench = Bench(max_events=EVENTS)
    bench.add(EVENTS - 1)
    bench.add(1, rare=True)
    task = bench.scan(RARE)
    await bench.goes_on(look_at)
    bench.add(2 * EVENTS)
    bench.add(1, rare=True)
    batch = await task
    assert positions(batch) == [EVENTS, 3 * EVENTS + 1]
    assert batch.cursor.position == Position(3 * EVENTS + 1, 0)


async def test_where_the_log_has_let_go_of_it_too_the_scan_says_so() -> None:
    bench = Bench(max_events=EVENTS)
    bench.add(EVENTS)
    task = bench.scan(RARE)
    await bench.goes_on(700)
    bench.add(2 * EVENTS)
    bench.log.trim_to(Position(2 * EVENTS, 0))
    assert await task == "trimmed"


async def test_a_log_that_starts_over_ends_a_scan_with_a_reset() -> None:
    bench = Bench()
    bench.add(EVENTS, rare=True)
    task = bench.scan(ALL, limit=EVENTS)
    await bench.goes_on(700)
    fresh = bench.history.blank()
    fresh.open("f", Position(0, 0))
    bench.history.become(fresh)
    assert await task == "epoch"


@pytest.mark.parametrize("held", [EVENTS, 100])
async def test_an_answer_that_is_full_goes_on_from_its_last_event(held: int) -> None:
    bench = Bench(max_events=held)
    for _ in range(20):
        bench.add(100)
        bench.add(1, rare=True)
    batch = await bench.scan(RARE, limit=7)
    assert positions(batch) == [101 * number for number in range(1, 8)]
    # Up to right before the event for which there was no room.
    assert (batch.cursor.position, batch.more) == (Position(101 * 8 - 1, 0), True)


@pytest.mark.parametrize("held", [EVENTS, 100, 5])
@pytest.mark.parametrize("limit", [1, 7, 20])
async def test_the_newest_are_found_wherever_they_are_and_given_oldest_first(held: int, limit: int) -> None:
    bench = Bench(max_events=held)
    for _ in range(20):
        bench.add(1, rare=True)
        bench.add(30)
    events, cursor = await bench.latest(RARE, limit)
    found = [31 * number + 1 for number in range(20)][-limit:]
    assert [event.split(b'"e.', 1)[1].split(b"-", 1)[0] for event in events] == [
        str(number).encode() for number in found
    ]
    assert cursor == "e.620-0"


async def test_no_more_of_the_log_is_read_than_the_newest_take() -> None:
    bench = Bench(max_events=5)
    bench.add(EVENTS)
    await bench.latest(ALL, 20)
    assert bench.log.looks <= 2


async def test_the_log_is_looked_through_only_so_far() -> None:
    bench = Bench(max_events=10)
    bench.add(1, rare=True)
    bench.add(SCAN_LOG_ENTRIES)
    assert (await bench.latest(RARE))[0] == []
    assert (await bench.scan(RARE, limit=1)).more
    far = Bench(max_events=10)
    far.add(1, rare=True)
    far.add(LATEST_LOG_ENTRIES - 1)
    assert len((await far.latest(RARE))[0]) == 1


ANA = Credentials(subject="ana", issued_at=100.0)


def revoke(bench: Bench) -> None:
    """The next event is the one after which nothing is Ana's."""
    revocation = Revocation("subject", "ana", 150.0, "left")
    bench.put(revocation.event(TIMESTAMP))
    bench.revocations.add(revocation, Cursor("e", bench.history.head_position))


@pytest.mark.parametrize("look", [Bench.scan, Bench.latest])
async def test_who_is_revoked_is_answered_nothing(look: Any) -> None:
    bench = Bench()
    bench.add(3)
    revoke(bench)
    with pytest.raises(InvalidToken):
        await look(bench, ALL, credentials=ANA)
    assert len((await bench.scan(ALL)).events) == 3


@pytest.mark.parametrize("held", [EVENTS, 100])
async def test_who_is_revoked_during_a_scan_gets_what_was_before_that(held: int) -> None:
    bench = Bench(max_events=held)
    bench.add(EVENTS)
    bench.add(1, rare=True)
    task = bench.scan(RARE, credentials=ANA)
    await bench.goes_on(500)
    revoke(bench)
    bench.add(1, rare=True)
    assert positions(await task) == [EVENTS + 1]


@pytest.mark.parametrize("held", [EVENTS, 100])
async def test_who_is_revoked_during_a_scan_that_finds_nothing_before_that_is_refused(held: int) -> None:
    bench = Bench(max_events=held)
    bench.add(EVENTS)
    task = bench.scan(RARE, credentials=ANA)
    await bench.goes_on(500)
    revoke(bench)
    bench.add(1, rare=True)
    with pytest.raises(InvalidToken):
        await task
