"""When a poller asks, and what it answers meanwhile."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import pytest

from adapters.upstream.failures import NoAnswer
from gateway.core.errors import UpstreamError
from gateway.ports.upstreams import Freshness, HeldBack, Snapshot, UpstreamAnswered
from tests.support.clock import ManualClock
from tests.support.http import DEADLINE_SECONDS
from tests.support.legacy import legacy_route
from tests.support.loop import let_others_run
from tests.support.polled import ROUTE, Answered, Polled, Unusable

DELAY_SECONDS = 30.0
"""The longest delay after a first failure; the chance of it is taken out here."""


@pytest.fixture
async def polled(clock: ManualClock) -> AsyncIterator[Polled]:
    async with at_work(Polled(clock)) as made:
        yield made


@contextlib.asynccontextmanager
async def at_work(made: Polled) -> AsyncIterator[Polled]:
    task = asyncio.create_task(made.poller.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    made.poller.close()


async def first_answer(polled: Polled) -> None:
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    await polled.answers.end()
    assert (await caller).freshness is Freshness.MISS


async def test_a_write_while_a_poll_is_under_way_brings_another_and_nobody_is_answered_before(
    polled: Polled,
) -> None:
    await first_answer(polled)
    polled.poller.written()
    await polled.polls(2)
    polled.poller.written()
    caller = asyncio.create_task(polled.poller.answer())
    await polled.answers.end()
    await polled.polls(3)
    assert polled.shown() is None
    assert not caller.done()

    await polled.answers.end()
    assert polled.shown() == 3
    assert (await caller).snapshot is polled.answers.snapshot
    assert polled.answers.fresh == [False, True, True]


async def test_a_write_amid_the_very_first_poll_brings_another(polled: Polled) -> None:
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    polled.poller.written()
    await polled.answers.end()
    await polled.polls(2)
    assert polled.shown() is None
    await polled.answers.end()

    # It waited for the poll that was under way when it came.
    assert (await caller).snapshot is not None
    assert polled.shown() == 2


async def test_a_write_that_a_poll_failed_to_show_is_still_to_be_shown(
    polled: Polled, clock: ManualClock
) -> None:
    await first_answer(polled)
    polled.poller.written()
    await polled.polls(2)
    await polled.answers.end(NoAnswer("refused"))
    assert (await polled.poller.answer()).freshness is Freshness.STALE

    clock.advance(ROUTE.interval_seconds)
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(3)
    await polled.answers.end()
    assert (await caller).snapshot is polled.answers.snapshot
    assert polled.answers.fresh == [False, True, True]


async def test_a_poll_that_was_broken_off_answers_nobody_from_what_it_did_not_confirm(
    clock: ManualClock,
) -> None:
    polled = Polled(clock)
    task = asyncio.create_task(polled.poller.run())
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(Exception, match="the gateway broke off"):
        await caller
    assert polled.poller.health().state == "down"


async def test_who_waits_counts_as_somebody_who_wants_the_answer_only_for_as_long(
    polled: Polled, clock: ManualClock
) -> None:
    callers = [asyncio.create_task(polled.poller.answer()) for _ in range(2)]
    await polled.polls(1)
    callers[0].cancel()
    clock.advance(4 * ROUTE.interval_seconds)
    await polled.answers.end()
    await callers[1]
    clock.advance(4 * ROUTE.interval_seconds)
    polled.poller.wake()
    await let_others_run()

    assert polled.answers.rests == 1
    assert polled.poller.health().state == "idle"


async def test_a_held_answer_is_not_told_of_as_one(polled: Polled) -> None:
    told: list[Snapshot] = []

    class Listener:
        def polled(self, snapshot: Snapshot) -> None:
            told.append(snapshot)

        def served(self, snapshot: Snapshot) -> None:
            raise AssertionError("nobody was served")

    await first_answer(polled)
    polled.poller.listener = Listener()
    polled.poller.written()
    await polled.polls(2)
    await polled.answers.end(False)
    assert told == []

    polled.poller.written()
    await polled.polls(3)
    await polled.answers.end()
    assert told == [polled.answers.snapshot]


async def test_a_held_answer_is_served_however_old_the_last_one_is(
    polled: Polled, clock: ManualClock
) -> None:
    await first_answer(polled)
    clock.advance(2 * ROUTE.stale_if_error_seconds)
    polled.poller.written()
    await polled.polls(2)
    caller = asyncio.create_task(polled.poller.answer())
    await let_others_run()
    await polled.answers.end(False)

    assert (await caller).freshness is Freshness.STALE


@pytest.mark.parametrize("pace_seconds", [ROUTE.interval_seconds, -5.0])
async def test_an_upstream_that_failed_is_asked_again_after_the_interval_and_a_delay(
    polled: Polled, pace_seconds: float
) -> None:
    """A pace below 0 is that of a poll that took longer than the interval."""
    polled.answers.pace_seconds = pace_seconds
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    before = asyncio.get_running_loop().time()
    await polled.answers.end(NoAnswer("refused"))
    with pytest.raises(UpstreamError, match="refused"):
        await caller

    # A test can't wait for an hour: it looks when the next poll is due.
    due = polled.poller._schedule._due - before
    assert due >= max(0.0, pace_seconds - 60.0) + DELAY_SECONDS


async def test_delays_grow_with_the_failures_in_a_row_alone(clock: ManualClock) -> None:
    polled = Polled(clock, legacy_route(interval_seconds=1.0, write_poll_seconds=0.0))
    task = asyncio.create_task(polled.poller.run())
    delays = []
    for number, outcome in enumerate([NoAnswer("refused"), NoAnswer("refused"), True, NoAnswer("refused")]):
        polled.answers.has_begun = True
        polled.poller.written()
        await polled.polls(number + 1)
        await polled.answers.end(outcome)
        # The next poll is forced before it is due: a test can't wait for it.
        due = polled.poller._schedule._due - polled.answers.begun_at
        delays.append(math.ceil(due - polled.answers.pace_seconds))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert delays == [1, 2, 0, 1]


async def test_an_answer_that_can_not_be_compared_is_served_and_polled_for_as_any_other(
    polled: Polled, clock: ManualClock
) -> None:
    await first_answer(polled)
    polled.poller.written()
    await polled.polls(2)
    before = asyncio.get_running_loop().time()
    await polled.answers.end(Unusable())
    clock.advance(7.0)

    served = polled.poller.at_once()

    assert served is not None
    assert served.snapshot is polled.answers.unusable
    assert (served.freshness, served.age_seconds) == (Freshness.UNUSABLE, 7)
    assert polled.poller.health().state == "unusable"
    assert polled.poller.health().last_error == "The upstream's answer is not JSON."
    assert polled.counters.bad_answers == {"not_json": 1}
    # A test can't wait for an hour: it looks when the next poll is due.
    assert polled.poller._schedule._due <= before + ROUTE.interval_seconds


async def test_who_waited_for_an_answer_that_can_not_be_compared_gets_it(polled: Polled) -> None:
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    await polled.answers.end(Unusable())

    assert (await caller).freshness is Freshness.UNUSABLE
    assert (await caller).snapshot is polled.answers.unusable


async def test_a_write_puts_an_answer_that_can_not_be_compared_out_of_date_too(polled: Polled) -> None:
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    await polled.answers.end(Unusable())
    await caller
    polled.poller.written()

    assert polled.poller.at_once() is None
    await polled.polls(2)


async def test_parity_is_not_told_of_an_answer_that_can_not_be_compared(polled: Polled) -> None:
    told: list[Snapshot] = []

    class Listener:
        def polled(self, snapshot: Snapshot) -> None:
            told.append(snapshot)

        def served(self, snapshot: Snapshot) -> None:
            raise AssertionError("nobody was served")

    polled.poller.listener = Listener()
    await first_answer(polled)
    for number, outcome in enumerate([Unusable(), True], 2):
        polled.poller.written()
        await polled.polls(number)
        # As another node's, which a poll takes over without an error, it is none either.
        await polled.answers.end(outcome)
    assert len(told) == 2

    polled.answers.unusable_from_now = True
    polled.poller.written()
    await polled.polls(4)
    await polled.answers.end()
    assert len(told) == 2
    assert polled.poller.health().state == "unusable"


async def test_an_upstream_that_fails_after_an_answer_that_can_not_be_compared_is_bridged_by_that(
    polled: Polled, clock: ManualClock
) -> None:
    await first_answer(polled)
    for number, outcome in enumerate([Unusable(), NoAnswer("refused")], 2):
        polled.poller.written()
        await polled.polls(number)
        await polled.answers.end(outcome)
    clock.advance(1.0)

    served = await polled.poller.answer()

    assert served.snapshot is polled.answers.unusable
    assert served.freshness is Freshness.UNUSABLE
    assert polled.poller.health().state == "down"


async def test_an_error_after_an_answer_that_could_not_be_compared_before_is_one(
    polled: Polled, clock: ManualClock
) -> None:
    """As where a node takes over what another got, and then the upstream fails."""
    await first_answer(polled)
    polled.answers.unusable_from_now = True
    polled.poller.written()
    await polled.polls(2)
    await polled.answers.end()
    clock.advance(1.0)
    polled.poller.written()
    await polled.polls(3)
    await polled.answers.end(Answered(500))

    assert polled.poller.health().state == "down"


async def test_the_upstreams_word_is_passed_on_where_there_is_nothing_else(
    polled: Polled, clock: ManualClock
) -> None:
    callers = [asyncio.create_task(polled.poller.answer()) for _ in range(2)]
    await polled.polls(1)
    await polled.answers.end(Answered(503, 90.5, Retry_After="Fri, 27 Nov 2026 10:00:00 GMT", X_Why="rest"))
    first, second = await asyncio.gather(*callers, return_exceptions=True)
    clock.advance(30.0)
    with pytest.raises(UpstreamAnswered) as late:
        await polled.poller.answer()

    assert isinstance(first, UpstreamAnswered)
    assert first is not second
    assert (first.answer.status, first.answer.body) == (503, b"no")
    assert first.answer.headers == {"Age": "0", "Retry-After": "91", "X-Why": "rest"}
    assert late.value.answer.headers == {"Age": "30", "Retry-After": "61", "X-Why": "rest"}
    assert late.value.answer.retry_after_seconds == 60.5


async def test_what_the_upstream_said_of_when_to_come_again_is_passed_on_where_nobody_could_read_it(
    polled: Polled,
) -> None:
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    await polled.answers.end(Answered(503, None, Retry_After="later"))

    with pytest.raises(UpstreamAnswered) as refused:
        await caller
    assert refused.value.answer.headers["Retry-After"] == "later"


async def test_an_upstream_that_wants_to_be_left_alone_is_asked_by_nobody_until_then(
    clock: ManualClock,
) -> None:
    route = legacy_route(interval_seconds=0.01, stale_if_error_seconds=1e6, write_poll_seconds=0.0)
    async with at_work(Polled(clock, route)) as polled:
        polled.answers.pace_seconds = 0.0
        await first_answer(polled)
        await polled.polls(2)
        await polled.answers.end(Answered(429, 3600.0))
        for _ in range(3):
            clock.advance(1199.0)
            polled.poller.written()
            polled.poller.wake()
            served = await polled.poller.answer()
            assert served.freshness is Freshness.STALE
            await let_others_run()
        assert len(polled.answers.fresh) == 2

        clock.advance(3.5)
        caller = asyncio.create_task(polled.poller.answer())
        await polled.polls(3)
        await polled.answers.end()
        assert (await caller).freshness is Freshness.MISS


async def test_who_waits_for_the_poll_after_the_next_is_let_go_where_that_is_put_off(polled: Polled) -> None:
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    polled.poller.written()
    later = asyncio.create_task(polled.poller.answer())
    await let_others_run()
    await polled.answers.end(Answered(429, 3600.0))

    for one in (caller, later):
        with pytest.raises(UpstreamAnswered):
            await one
    assert len(polled.answers.fresh) == 1


async def test_an_answer_of_which_a_further_page_was_refused_is_served_and_the_upstream_left_alone(
    polled: Polled,
) -> None:
    refused = Answered(429, 3600.0)
    refused.is_kept = True
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    polled.poller.written()
    later = asyncio.create_task(polled.poller.answer())
    await let_others_run()
    await polled.answers.end(refused)

    assert [(await one).freshness for one in (caller, later)] == [Freshness.UNUSABLE, Freshness.UNUSABLE]
    assert len(polled.answers.fresh) == 1


async def test_an_upstream_is_still_left_alone_where_nobody_wanted_its_answer_meanwhile(
    polled: Polled, clock: ManualClock
) -> None:
    caller = asyncio.create_task(polled.poller.answer())
    await polled.polls(1)
    await polled.answers.end(Answered(429, 10 * ROUTE.interval_seconds))
    with pytest.raises(UpstreamAnswered):
        await caller
    clock.advance(5 * ROUTE.interval_seconds)
    polled.poller.wake()
    await let_others_run()
    assert polled.poller.health().state == "idle"

    with pytest.raises(UpstreamAnswered) as refused:
        await polled.poller.answer()
    assert refused.value.answer.retry_after_seconds == 5 * ROUTE.interval_seconds
    assert len(polled.answers.fresh) == 1


@pytest.mark.parametrize(("given", "seconds"), [(None, ROUTE.interval_seconds), (20.0, 20.0)])
async def test_writes_bring_forward_a_poll_once_in_a_while_and_who_would_wait_goes_through(
    clock: ManualClock, given: float | None, seconds: float
) -> None:
    route = legacy_route(interval_seconds=ROUTE.interval_seconds, write_poll_seconds=given)
    async with at_work(Polled(clock, route)) as polled:
        await first_answer(polled)
        polled.poller.written()
        caller = asyncio.create_task(polled.poller.answer())
        await polled.polls(2)
        await polled.answers.end()
        assert (await caller).freshness is Freshness.MISS

        for _ in range(20):
            polled.poller.written()
            assert polled.poller.at_once() is None
            with pytest.raises(HeldBack):
                await polled.poller.answer()
        clock.advance(seconds - 1.0)
        with pytest.raises(HeldBack):
            await polled.poller.answer()
        assert len(polled.answers.fresh) == 2

        clock.advance(1.0)
        polled.poller.wake()
        await polled.polls(3)
        await polled.answers.end()
        assert polled.shown() == 3


async def test_who_waits_for_what_was_put_out_of_date_brings_forward_a_poll_once_in_a_while_too(
    clock: ManualClock,
) -> None:
    async with at_work(Polled(clock, legacy_route(interval_seconds=ROUTE.interval_seconds))) as polled:
        await first_answer(polled)
        polled.poller.outdate()
        await let_others_run()
        assert len(polled.answers.fresh) == 1
        caller = asyncio.create_task(polled.poller.answer())
        await polled.polls(2)
        await polled.answers.end()
        assert (await caller).freshness is Freshness.MISS

        polled.poller.outdate()
        with pytest.raises(HeldBack):
            await asyncio.wait_for(polled.poller.answer(), DEADLINE_SECONDS)
        assert len(polled.answers.fresh) == 2


async def test_a_poll_that_was_due_anyway_is_none_that_a_write_brought_forward(clock: ManualClock) -> None:
    route = legacy_route(interval_seconds=ROUTE.interval_seconds)
    async with at_work(Polled(clock, route)) as polled:
        await first_answer(polled)
        polled.poller._schedule._due = -math.inf
        polled.poller.written()
        await polled.polls(2)
        await polled.answers.end()
        polled.poller.written()
        await polled.polls(3)


async def test_a_poll_that_a_write_brought_forward_in_vain_leaves_the_old_answer_to_all(
    clock: ManualClock,
) -> None:
    route = legacy_route(interval_seconds=ROUTE.interval_seconds, stale_if_error_seconds=1e6)
    async with at_work(Polled(clock, route)) as polled:
        await first_answer(polled)
        polled.poller.written()
        caller = asyncio.create_task(polled.poller.answer())
        await polled.polls(2)
        await polled.answers.end(NoAnswer("refused"))

        assert [(await one).freshness for one in (caller, asyncio.ensure_future(polled.poller.answer()))] == [
            Freshness.STALE,
            Freshness.STALE,
        ]
        assert len(polled.answers.fresh) == 2


async def test_a_write_amid_a_poll_that_another_brought_forward_is_not_waited_for(clock: ManualClock) -> None:
    route = legacy_route(interval_seconds=ROUTE.interval_seconds)
    async with at_work(Polled(clock, route)) as polled:
        await first_answer(polled)
        polled.poller.written()
        await polled.polls(2)
        polled.poller.written()
        with pytest.raises(HeldBack):
            await polled.poller.answer()
        await polled.answers.end()
        with pytest.raises(HeldBack):
            await polled.poller.answer()
