"""adapters/upstream/schedule.py: when an upstream is asked next."""

import asyncio
import math

import pytest

from adapters.upstream.schedule import Schedule
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route

INTERVAL_SECONDS = 100.0


def schedule(clock: ManualClock, **settings: object) -> Schedule:
    """That of a route; after a failure it takes the longest delay there may be."""
    route = legacy_route(interval_seconds=INTERVAL_SECONDS, **settings)
    return Schedule(route, clock, draw=lambda low, high: high)


async def test_nothing_is_due_that_nobody_wants(clock: ManualClock) -> None:
    made = schedule(clock)
    assert made.delay(math.inf, is_wanted=False) == math.inf
    assert made.delay(math.inf, is_wanted=True) == -math.inf


async def test_the_next_poll_is_due_after_the_pace_of_the_last_whose_answer_came(clock: ManualClock) -> None:
    made = schedule(clock)
    made.begun(INTERVAL_SECONDS, for_write=False)
    made.answered()

    assert made.delay(math.inf, is_wanted=True) == pytest.approx(INTERVAL_SECONDS, abs=60.0)
    assert made.delay(clock.monotonic() + 3.0, is_wanted=True) == 3.0


async def test_failures_put_off_what_is_due_and_not_what_is_asked_for(clock: ManualClock) -> None:
    made = schedule(clock)
    delays = []
    for _ in range(3):
        made.begun(INTERVAL_SECONDS, for_write=False)
        made.failed(0.0)
        delays.append(made.delay(math.inf, is_wanted=True))

    assert all(delay > INTERVAL_SECONDS for delay in delays)
    assert made.delay(clock.monotonic(), is_wanted=False) == 0.0
    assert not made.is_left_alone


async def test_an_upstream_that_wants_to_be_left_alone_puts_off_all(clock: ManualClock) -> None:
    made = schedule(clock)
    made.begun(0.0, for_write=False)
    made.failed(3600.0)
    clock.advance(3599.0)

    assert made.is_left_alone
    assert made.delay(clock.monotonic() - 9.0, is_wanted=True) == 1.0
    clock.advance(1.0)
    assert not made.is_left_alone
    assert made.delay(clock.monotonic(), is_wanted=True) <= 0.0


@pytest.mark.parametrize(("given", "seconds"), [(None, INTERVAL_SECONDS), (7.0, 7.0), (0.0, 0.0)])
async def test_a_poll_that_a_write_brought_forward_puts_off_the_next_such(
    clock: ManualClock, given: float | None, seconds: float
) -> None:
    made = schedule(clock, write_poll_seconds=given)
    made.begun(INTERVAL_SECONDS, for_write=False)
    assert made.after_write_at <= clock.monotonic()

    made.begun(INTERVAL_SECONDS, for_write=True)
    assert made.after_write_at == clock.monotonic() + seconds


async def test_a_poll_that_was_due_anyway_puts_off_none(clock: ManualClock) -> None:
    made = schedule(clock)
    made.begun(-1.0, for_write=False)
    await asyncio.sleep(0)
    made.begun(INTERVAL_SECONDS, for_write=True)

    assert made.after_write_at <= clock.monotonic()
