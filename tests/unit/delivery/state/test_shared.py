"""gateway/delivery/state/shared.py: one reading for all who ask, and for how long it is given again."""

import asyncio
import gc
from dataclasses import replace

import pytest
from multidict import MultiDict

from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Cursor, Position
from gateway.core.history import History
from gateway.core.selectors import parse_selector
from gateway.delivery.pace import USUAL
from gateway.delivery.replay.resume import Place
from gateway.delivery.state.question import StateQuestion, question_of
from gateway.delivery.state.shared import NoSuchState, SharedStates
from gateway.ports.state import StateItem, StateUnknown
from gateway.runtime.slices import Slices
from tests.support.clock import ManualClock
from tests.support.events import a_record, an_event
from tests.support.given_state import GivenState
from tests.support.loop import until


def asked(**query: str) -> StateQuestion:
    question = question_of(parse_selector(MultiDict(query), {}))
    assert question is not None
    return question


ORDERS = asked(entity="order")


class Bench:
    """States of a given source, over a history of which some events are held."""

    def __init__(self, **pace) -> None:
        self.clock = ManualClock()
        self.history = History(max_events=3, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
        self.history.open("e", ORIGIN)
        for minor in range(1, 4):
            self.appends(minor)
        self.source = GivenState(Cursor("e", Position(7, 2)), order=[StateItem("1", b'{"n":1}')])
        self.place: Place | LogError = 2
        self.states = SharedStates(
            self.source,
            self._place_of,
            self.history,
            self.clock,
            Slices(self.clock),
            replace(USUAL, **pace),
        )

    def appends(self, minor: int) -> None:
        self.history.append(a_record(Position(7, minor), an_event("order:1", "a")), 0.0)
        self.history.trim(0.0, minor)

    async def _place_of(self, text: str) -> Place:
        if isinstance(self.place, LogError):
            raise self.place
        return self.place


async def test_those_who_ask_meanwhile_are_told_of_one_reading():
    bench = Bench()
    bench.source.gate = asyncio.Event()
    asking = [asyncio.create_task(bench.states.parts(ORDERS)) for _ in range(100)]
    await until(lambda: bench.source.reads == 1, "the source is asked")
    bench.source.gate.set()
    told = await asyncio.gather(*asking)
    assert {id(state) for state in told} == {id(told[0])}
    assert (bench.source.reads, bench.states.reads) == (1, 1)


async def test_where_who_asked_goes_away_the_next_asks():
    bench = Bench()
    bench.source.gate = asyncio.Event()
    first, second = (asyncio.create_task(bench.states.parts(ORDERS)) for _ in range(2))
    await until(lambda: bench.source.reads == 1, "the source is asked")
    first.cancel()
    bench.source.gate.set()
    assert len(await second) == 1
    assert bench.source.reads == 2


async def test_all_who_wait_for_a_failure_get_an_error_of_their_own():
    bench = Bench()
    bench.source.gate, bench.source.failure = asyncio.Event(), StateUnknown("no list")
    asking = [asyncio.create_task(bench.states.parts(ORDERS)) for _ in range(3)]
    await until(lambda: bench.source.reads == 1, "the source is asked")
    bench.source.gate.set()
    errors = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(error) for error in errors] == [StateUnknown] * 3
    assert len({id(error) for error in errors}) == 3
    assert {error.headers["Retry-After"] for error in errors if isinstance(error, StateUnknown)} == {"1"}
    assert (bench.source.reads, bench.states.failures) == (1, 1)
    bench.source.failure = None
    assert len(await bench.states.parts(ORDERS)) == 1


async def test_a_state_that_has_not_changed_is_given_again_and_is_as_of_now():
    bench = Bench()
    before = await bench.states.parts(ORDERS)
    bench.source.as_of_ms += 5000
    bench.source.cursor = Cursor("e", Position(7, 3))
    assert await bench.states.parts(ORDERS) is before
    assert before.as_of_ms == bench.source.as_of_ms
    bench.source.version = "other"
    after = await bench.states.parts(ORDERS)
    assert after is not before
    assert after.cursor == bench.source.cursor


async def test_one_is_not_given_again_where_the_history_has_not_what_follows():
    bench = Bench()
    before = await bench.states.parts(ORDERS)
    for minor in range(4, 8):
        bench.appends(minor)
    bench.source.cursor = Cursor("e", Position(7, 7))
    assert (await bench.states.parts(ORDERS)).cursor != before.cursor


async def test_without_a_version_it_is_given_again_for_a_moment_and_nobody_is_asked():
    bench = Bench(state_fresh_seconds=1.0)
    bench.source.version = None
    before = await bench.states.parts(ORDERS)
    bench.clock.advance(0.9)
    assert await bench.states.parts(ORDERS) is before
    assert bench.source.reads == 1
    bench.clock.advance(0.2)
    assert await bench.states.parts(ORDERS) is not before


async def test_who_looks_at_it_alone_gets_none_that_is_older_than_the_call():
    bench = Bench()
    bench.source.version = None
    before = await bench.states.parts(ORDERS)
    assert await bench.states.parts(ORDERS, is_current=True) is not before
    bench.source.gate = asyncio.Event()
    first = asyncio.create_task(bench.states.parts(ORDERS, is_current=True))
    await until(lambda: bench.source.reads == 3, "the source is asked")
    others = [asyncio.create_task(bench.states.parts(ORDERS, is_current=True)) for _ in range(50)]
    bench.source.gate.set()
    told = await asyncio.gather(*others)
    assert {id(state) for state in told} == {id(told[0])}
    assert told[0] is not await first
    assert bench.source.reads == 4


async def test_different_questions_have_different_answers():
    bench = Bench()
    other = await bench.states.parts(asked(entity="order", filter="n=eq.2"))
    assert other is not await bench.states.parts(ORDERS)
    assert bench.source.reads == 2


async def test_a_cursor_from_which_no_stream_can_go_on_is_no_state():
    bench = Bench()
    bench.place = "trimmed"
    with pytest.raises(StateUnknown):
        await bench.states.parts(ORDERS)
    bench.place = LogError("the log is away")
    with pytest.raises(StateUnknown, match="away"):
        await bench.states.parts(ORDERS)


async def test_what_nothing_knows_is_not_asked_for():
    bench = Bench()
    assert bench.states.knows(ORDERS)
    assert not bench.states.knows(asked(entity="order,job"))
    with pytest.raises(NoSuchState, match="job"):
        await bench.states.parts(asked(entity="job"))
    assert bench.source.reads == 0


async def test_one_that_is_too_large_is_not_told():
    bench = Bench(state_largest_bytes=100_000)
    bench.source.items["order"] = [
        StateItem(str(number), b'{"text":"%b"}' % (b"x" * 1000)) for number in range(200)
    ]
    with pytest.raises(NoSuchState, match="ask for less"):
        await bench.states.parts(ORDERS)
    assert not bench.states.knows(ORDERS)
    with pytest.raises(NoSuchState, match="ask for less"):
        await bench.states.parts(ORDERS)
    assert bench.source.reads == 1
    bench.source.items["order"] = []
    bench.clock.advance(61.0)
    assert bench.states.knows(ORDERS)
    assert await bench.states.parts(ORDERS)


async def test_what_is_kept_is_bounded_by_bytes():
    bench = Bench(state_kept_bytes=3000, state_whole_bytes=0)
    items = [StateItem("1", b'{"text":"%b"}' % (b"x" * 1000))]
    bench.source.items["order"] = items
    for number in range(10):
        await bench.states.parts(asked(entity="order", filter=f"n=is.null,x{number}=is.null"))
    gc.collect()
    assert 0 < bench.states.bytes <= 3000
    bench.source.items["order"] = items * 5
    await bench.states.parts(ORDERS)
    gc.collect()
    assert bench.states.bytes <= 3000


async def test_one_that_nobody_asks_for_any_more_is_dropped():
    bench = Bench(state_kept_seconds=300.0)
    await bench.states.parts(ORDERS)
    bench.clock.advance(299.0)
    await bench.states.parts(ORDERS)
    bench.clock.advance(299.0)
    gc.collect()
    assert bench.states.bytes > 0
    assert bench.states.reads == 1
    bench.clock.advance(2.0)
    assert bench.states.bytes == 0


async def test_what_others_are_being_sent_leaves_no_room_for_more():
    bench = Bench(state_room_bytes=100)
    held = await bench.states.parts(ORDERS)
    other = asked(entity="order", filter="n=eq.1")
    with pytest.raises(StateUnknown, match="room"):
        await bench.states.parts(other)
    assert len(held) == 1
    del held
    gc.collect()
    assert await bench.states.parts(other)


async def test_selections_of_parts_are_told_of_one_reading_of_the_whole():
    bench = Bench()
    bench.source.version = None
    bench.source.items["order"] = [StateItem(str(n), b'{"n":%d}' % n) for n in range(100)]
    questions = [asked(entity="order", filter=f"n=eq.{n}") for n in range(100)]
    told = await asyncio.gather(*(bench.states.parts(question) for question in questions))
    assert [b'{"n":%d}' % n in state.parts[0].chunk for n, state in enumerate(told)] == [True] * 100
    assert {len(state.parts[0].items().split(b"entityId")) for state in told} == {2}
    assert bench.source.reads == 1


async def test_who_looks_at_a_part_alone_gets_none_of_a_reading_before_the_call():
    bench = Bench()
    bench.source.version = None
    await bench.states.parts(asked(entity="order", filter="n=eq.1"))
    bench.source.items["order"] = [StateItem("2", b'{"n":2}')]
    state = await bench.states.parts(asked(entity="order", filter="n=eq.2"), is_current=True)
    assert b'"entityId":"2"' in state.parts[0].chunk


async def test_a_whole_that_is_too_large_is_read_as_it_is_asked_for():
    bench = Bench(state_whole_bytes=100)
    for n in (1, 2):
        await bench.states.parts(asked(entity="order", filter=f"n=eq.{n}"))
    assert bench.source.reads == 3
