"""When a poller asks, and what it answers meanwhile."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from adapters.upstream.failures import NoAnswer
from gateway.core.errors import UpstreamError
from gateway.ports.upstreams import Freshness, Snapshot
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route
from tests.support.loop import let_others_run
from tests.support.polled import ROUTE, Polled

DELAY_SECONDS = 30.0
"""The longest delay after a first failure; the chance of it is taken out here."""


@pytest.fixture
async def polled(clock: ManualClock) -> AsyncIterator[Polled]:
    made = Polled(clock)
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
    due = polled.poller._due - before
    assert due >= max(0.0, pace_seconds - 60.0) + DELAY_SECONDS


async def test_delays_grow_with_the_failures_in_a_row_alone(clock: ManualClock) -> None:
    polled = Polled(clock, legacy_route(interval_seconds=1.0))
    task = asyncio.create_task(polled.poller.run())
    delays = []
    for number, outcome in enumerate([NoAnswer("refused"), NoAnswer("refused"), True, NoAnswer("refused")]):
        polled.answers.has_begun = True
        polled.poller.written()
        await polled.polls(number + 1)
        await polled.answers.end(outcome)
        # The next poll is forced before it is due: a test can't wait for it.
        due = polled.poller._due - polled.answers.begun_at
        delays.append(math.ceil(due - polled.answers.pace_seconds))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert delays == [1, 2, 0, 1]
