"""Where a cursor goes on."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from gateway.core.errors import LogError, UnknownPosition
from gateway.core.events import Cursor, Position
from gateway.core.history import History
from gateway.delivery.follower import Follower
from gateway.delivery.group import Groups
from gateway.delivery.hub import Hub, HubTiming
from gateway.delivery.observer import Unobserved
from gateway.delivery.pace import USUAL
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.resume import Resumes
from gateway.delivery.revoked_tokens import RevokedTokens
from gateway.delivery.subscriber import NOWHERE
from gateway.runtime.log_pages import FIRST_RECORDS
from gateway.runtime.outage import Outage
from gateway.runtime.slices import Slices
from tests.support.events import a_record, an_event
from tests.support.loop import let_others_run, until
from tests.support.scheduler import ManualScheduler
from tests.support.shaky_log import ShakyLog
from tests.support.shared_store import MemorySharedStore

Kind = TypeVar("Kind", bound=Follower)


class Bench:
    """A node whose history holds the last ten of thirty events; the log holds the last twenty-five."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        self.scheduler = scheduler
        self.log = ShakyLog()
        self.log.put_events(*(an_event() for _ in range(30)))
        self.log.trim_to(Position(5, 0))
        self.history = History(max_events=10, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
        timing = HubTiming(heartbeat_seconds=15.0, coalesce_seconds=0.0, stall_seconds=30.0, retry_ms=2000)
        clock, groups = scheduler.clock, Groups(50, lambda: None)
        self.hub = Hub(self.history, scheduler, clock, timing, groups, observer=Unobserved(), replays=None)
        self.archive = LogArchive(self.log, self.history, clock, Slices(clock))
        self.follower = self.follow(Follower)
        self.resumes = Resumes(self.history, self.archive, self.follower)

    def follow(self, kind: type[Kind]) -> Kind:
        clock = self.scheduler.clock
        outage = Outage(logging.getLogger("gateway"), "log", now=clock.monotonic)
        revoked = RevokedTokens(MemorySharedStore(clock), clock)
        return kind(self.log, self.history, self.hub, clock, outage, lambda: None, revoked)


@pytest.fixture
async def bench(scheduler: ManualScheduler) -> AsyncIterator[Bench]:
    bench = Bench(scheduler)
    await bench.follower.start()
    task = asyncio.create_task(bench.follower.run())
    await until(lambda: bench.follower.is_following, "the node follows")
    yield bench
    await bench.log.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("cursor", "place"),
    [
        ("e.30-0", 10),
        ("e.20-0", 0),
        ("e.19-0", Position(19, 0)),
        ("e.5-0", Position(5, 0)),
        ("e.4-0", "trimmed"),
        ("f.20-0", "epoch"),
        ("nonsense", "unknown"),
        ("earliest", 0),
    ],
)
async def test_a_cursor_has_its_place(bench: Bench, cursor: str, place: object) -> None:
    assert await bench.resumes.place(cursor) == place


@pytest.mark.parametrize(("before", "place"), [("e.30-0", "e.29-1"), ("e.25-0", "e.20-1")])
async def test_a_cursor_that_the_history_never_held_is_unknown(bench: Bench, before: str, place: str) -> None:
    assert isinstance(await bench.resumes.place(before), int)
    assert await bench.resumes.place(place) == "unknown"


async def test_a_position_that_the_log_never_held_is_unknown_to_whoever_reads_on(bench: Bench) -> None:
    for _ in range(2):
        # The second time it lies within what was read before.
        with pytest.raises(UnknownPosition):
            await bench.archive.after(Position(9, 1))
        assert (await bench.archive.after(Position(6, 0)))[0].after == Position(6, 0)
    assert bench.log.reads == 2


async def test_a_start_in_the_log_is_below_every_floor(bench: Bench) -> None:
    start = bench.resumes.start(await bench.resumes.place("e.19-0"))
    assert start == ("e", NOWHERE, Position(19, 0), None)
    assert bench.resumes.start(10) == ("e", 10, Position(30, 0), None)
    assert bench.resumes.start(None) == ("e", 10, Position(30, 0), None)
    assert bench.resumes.start("trimmed") == ("e", 10, Position(30, 0), "trimmed")


async def test_a_cursor_ahead_is_waited_for_until_the_history_has_it(bench: Bench) -> None:
    bench.log.may_tail.clear()
    bench.log.put_events(an_event(), an_event())
    place = asyncio.create_task(bench.resumes.place("e.32-0"))
    await let_others_run()
    assert not place.done()
    bench.log.may_tail.set()
    assert await place == 12


async def test_a_cursor_of_the_epoch_that_the_log_has_come_to_is_waited_for(bench: Bench) -> None:
    bench.log.may_tail.clear()
    bench.log.start_over("f")
    bench.log.put_events(an_event())
    place = asyncio.create_task(bench.resumes.place("f.1-0"))
    await let_others_run()
    assert not place.done()
    bench.log.may_tail.set()
    await until(lambda: bench.scheduler.run_ready() >= 0 and place.done(), "the history started over")
    assert bench.history.epoch == "f"
    assert await place == bench.history.head


async def test_a_cursor_that_the_log_shows_later_is_waited_for(bench: Bench) -> None:
    # As on Postgres, where an older transaction is open when the event is appended.
    place = asyncio.create_task(bench.resumes.place("e.31-0"))
    await until(lambda: bench.log.asked > 1, "the log was asked for its head")
    await let_others_run()
    assert not place.done()
    bench.log.put_events(an_event())
    assert await place == 11


async def test_a_cursor_of_a_history_that_is_over_is_waited_for_no_longer(bench: Bench) -> None:
    place = asyncio.create_task(bench.resumes.place("e.31-0"))
    await until(lambda: bench.log.asked > 1, "the log was asked for its head")
    await let_others_run()
    bench.log.start_over("f")
    bench.log.put_events(an_event())
    await until(lambda: bench.scheduler.run_ready() >= 0 and place.done(), "the history started over")
    assert await place == "epoch"


async def test_a_cursor_that_was_waited_for_and_passed_over_is_unknown(bench: Bench) -> None:
    place = asyncio.create_task(bench.resumes.place("e.31-0"))
    await until(lambda: bench.log.asked > 1, "the log was asked for its head")
    bench.log.put(a_record(32))
    assert await place == "unknown"


async def test_a_cursor_that_the_history_reaches_while_the_log_is_asked_is_not_waited_for(
    bench: Bench,
) -> None:
    bench.log.may_tell.clear()
    place = asyncio.create_task(bench.resumes.place("e.31-0"))
    await let_others_run()
    bench.log.put_events(an_event())
    await until(lambda: bench.history.head == 11, "the history has it")
    bench.log.may_tell.set()
    assert await place == 11


async def test_a_cursor_that_does_not_come_in_time_is_unknown(bench: Bench) -> None:
    assert await impatient(bench).place("e.31-0") == "unknown"
    assert await impatient(bench).place_or_reset("e.31-0") == "unknown"


async def test_a_node_that_lags_behind_the_cursor_takes_no_poll_back(bench: Bench) -> None:
    bench.log.may_tail.clear()
    bench.log.put_events(an_event())
    with pytest.raises(LogError):
        await impatient(bench).place("e.31-0")
    assert await impatient(bench).place_or_reset("e.31-0") == "unknown"


@pytest.mark.parametrize("cursor", ["e.19-0", "e.31-0"])
async def test_a_log_that_does_not_answer_is_out_of_reach(bench: Bench, cursor: str) -> None:
    bench.log.may_tell.clear()
    hurried = Resumes(bench.history, bench.archive, bench.follower, catch_up_seconds=0.0)
    with pytest.raises(LogError):
        await hurried.place(cursor)
    assert await hurried.place_or_reset(cursor) in ("trimmed", "unknown")


async def test_a_log_that_was_lost_while_a_cursor_was_waited_for_is_out_of_reach(bench: Bench) -> None:
    bench.follower.trouble = "The log is out of reach."
    with pytest.raises(LogError):
        await impatient(bench).place("e.31-0")
    assert await impatient(bench).place_or_reset("e.31-0") == "unknown"


class _Impatient(Follower):
    """One whose callers' time is over as soon as there is nothing left but to wait."""

    waits = 0

    async def reached(self, cursor: Cursor) -> None:
        self.waits += 1
        if not self._has_reached(cursor):
            raise TimeoutError


def impatient(bench: Bench) -> Resumes:
    """Its time is over when the log does not answer at once, or the history lacks the cursor then."""
    return Resumes(bench.history, bench.archive, _impatient_follower(bench))


def _impatient_follower(bench: Bench) -> _Impatient:
    follower = bench.follow(_Impatient)
    follower.trouble = bench.follower.trouble
    return follower


async def test_while_the_log_is_out_of_reach_a_poll_is_told_so_and_a_stream_is_reset(bench: Bench) -> None:
    bench.log.lose()
    for cursor in ("e.19-0", "e.31-0"):
        with pytest.raises(LogError):
            await bench.resumes.place(cursor)
    assert await bench.resumes.place_or_reset("e.19-0") == "trimmed"
    assert await bench.resumes.place_or_reset("e.20-0") == 0


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (("e.25-0", "e.30-0"), 10),
        (("e.30-0", "e.25-0"), 10),
        (("e.9-0", "e.25-0"), 5),
        (("e.30-1", "e.25-0"), 5),
        (("e.25-1", "e.25-0"), 5),
        (("f.99-0", "e.25-0", "42"), 5),
        (("e.21-1", "e.19-0", "e.18-0"), Position(19, 0)),
        (("e.25-0", "e.3-0", "earliest"), 5),
        (("e.25-0", "e.25-0"), 5),
        (("e.4-0", "e.3-0", "42"), "trimmed"),
        (("42", "f.1-0"), "epoch"),
        (("f.1-0", "e.25-1"), "unknown"),
        (("e.4-0", "earliest"), "trimmed"),
        (("42", "43"), "unknown"),
        (("earliest", "earliest"), 0),
    ],
)
async def test_of_several_cursors_the_newest_that_can_be_honoured_counts(
    bench: Bench, given: tuple[str, ...], place: object
) -> None:
    assert await impatient(bench).place(*given) == place
    assert await impatient(bench).place_or_reset(*given) == place


async def test_several_cursors_that_the_log_does_not_come_to_are_waited_for_once(bench: Bench) -> None:
    follower = _impatient_follower(bench)
    resumes = Resumes(bench.history, bench.archive, follower)

    assert await resumes.place(*(f"e.{number}-0" for number in range(31, 90))) == "unknown"
    assert follower.waits == 1


async def test_a_newest_cursor_that_this_node_is_yet_to_reach_is_waited_for(bench: Bench) -> None:
    place = asyncio.create_task(bench.resumes.place("e.25-0", "e.31-0"))
    await until(lambda: bench.log.asked > 1, "the log was asked for its head")
    assert not place.done()
    bench.log.put_events(an_event())
    assert await place == 11


async def test_while_the_log_is_out_of_reach_a_stream_goes_on_from_the_newest_that_is_held(
    bench: Bench,
) -> None:
    bench.log.lose()
    with pytest.raises(LogError):
        await bench.resumes.place("e.31-0", "e.25-0", "e.19-0")
    assert await bench.resumes.place_or_reset("e.31-0", "e.19-0", "e.25-0") == 5
    assert await bench.resumes.place_or_reset("e.31-0", "e.19-0") == "unknown"


async def test_the_logs_bounds_are_asked_for_once_a_second(bench: Bench) -> None:
    assert await bench.resumes.place("e.19-0") == Position(19, 0)
    bench.log.trim_to(Position(19, 0))
    assert await bench.resumes.place("e.18-0") == Position(18, 0), "reading finds out that it is trimmed"
    bench.scheduler.clock.advance(USUAL.bounds_seconds)
    assert await bench.resumes.place("e.18-0") == "trimmed"


async def test_what_was_read_is_kept_for_those_who_come_with_close_cursors(bench: Bench) -> None:
    first = await bench.archive.after(Position(6, 0))
    within = await bench.archive.after(Position(9, 0))
    assert [entry.position.major for entry in first] == list(range(7, 7 + FIRST_RECORDS))
    assert within == first[3:]
    assert bench.log.reads == 1
    before = await bench.archive.after(Position(5, 0))
    assert before[0].position == Position(6, 0)
    assert bench.log.reads == 2


OWN, FOREIGN = "abcdefghij0", "abcdefghij1"


@pytest.mark.parametrize(
    ("cursors", "scope", "place"),
    [
        ([f"e.30-0.{OWN}"], OWN, 10),
        ([f"e.19-0.{OWN}"], OWN, Position(19, 0)),
        ([f"e.30-0.{FOREIGN}"], OWN, "scope"),
        ([f"e.4-0.{FOREIGN}"], OWN, "scope"),
        ([f"f.30-0.{FOREIGN}"], OWN, "scope"),
        (["e.30-0"], OWN, "scope"),
        ([f"e.30-0.{OWN}"], "", "scope"),
        ([f"f.30-0.{OWN}"], OWN, "epoch"),
        (["nonsense"], OWN, "unknown"),
        (["earliest"], OWN, 0),
        (["earliest", f"e.30-0.{FOREIGN}"], OWN, "scope"),
        ([f"e.30-0.{FOREIGN}", f"e.25-0.{OWN}"], OWN, 5),
    ],
)
async def test_a_cursor_of_another_scope_has_no_place(
    bench: Bench, cursors: list[str], scope: str, place: object
) -> None:
    assert await bench.resumes.place(*cursors, scope=scope) == place
    assert await bench.resumes.place_or_reset(*cursors, scope=scope) == place
