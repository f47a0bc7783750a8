"""A hundred people whose streams really fail take a component back; a hundred who fare well do not."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.admin import ORDERS
from tests.support.api import EVENTS, event
from tests.support.gateway import GatewayThread
from tests.support.rollout import WINDOW_SECONDS, Caller, GuardedRollout, all_of, guarded_rollout, opened
from tests.support.upstream import Upstream

SUBJECTS = 100
FIFTH = WINDOW_SECONDS // 5


@pytest.fixture
async def rollout(
    start_gateway: Callable[..., GatewayThread], backend: Upstream, flags_file: Path
) -> AsyncIterator[GuardedRollout]:
    async with guarded_rollout(start_gateway, backend, flags_file, authenticated=True) as one:
        yield one


async def seconds_until_latched(rollout: GuardedRollout, most: int) -> int:
    for second in range(most):
        if (await rollout.flag())["latch"] is not None:
            return second
        await rollout.second()
    raise AssertionError(f"not taken back: {(await rollout.verdict())['sentence']}")


async def fall_back(callers: list[Caller], ids: list[str]) -> None:
    both = zip(callers, ids, strict=True)
    await all_of(caller.report(clientId=client_id, fallback="mute") for caller, client_id in both)


async def latched_by(rollout: GuardedRollout, metric: str) -> dict[str, Any]:
    """The latch, which the history's newest revision and the guard's answer have too."""
    flag = await rollout.flag()
    latch: dict[str, Any] = flag["latch"]
    assert latch["metric"] == metric
    assert (flag["stage"], flag["revision"]) == ("live", 2)
    last = (await rollout.admin.get(f"{ORDERS}/revisions")).json()["revisions"][-1]
    assert (last["who"], last["why"]) == ("guard", f"automatic rollback: {latch['reason']}")
    assert (await rollout.verdict())["state"]["latch"] == latch
    return latch


async def test_streams_of_a_hundred_subjects_that_fall_back_roll_back_within_a_fifth_of_a_window(
    rollout: GuardedRollout,
) -> None:
    await rollout.go_live(100)
    subjects = rollout.people(SUBJECTS, 100, streaming=True)
    async with opened(rollout, subjects) as ids:
        await rollout.seconds(WINDOW_SECONDS)
        await rollout.is_as_it_was(100)
        # Five of a hundred are no more than the bound, and six are past it.
        await fall_back(subjects[:5], ids[:5])
        await rollout.seconds(2 * FIFTH)
        await rollout.is_as_it_was(100)
        await fall_back(subjects[5:], ids[5:])
        assert await seconds_until_latched(rollout, FIFTH + 2) <= FIFTH + 1
    latch = await latched_by(rollout, "fallbackRate")
    assert (latch["value"], latch["threshold"]) == (1, 0.05)
    assert latch["reason"].startswith("fallbackRate is 100 % over 100 samples, above 5 %.")


async def test_first_events_that_never_come_to_a_hundred_subjects_roll_back(rollout: GuardedRollout) -> None:
    await rollout.go_live(100)
    subjects = rollout.people(SUBJECTS, 100, streaming=True)
    await all_of(caller.report(attempt="before", firstEventMs=20) for caller in subjects[:3])
    async with opened(rollout, subjects, acknowledged=False):
        seconds = await seconds_until_latched(rollout, 15 + FIFTH + 2)
    assert seconds <= 15 + FIFTH + 1, "it is known after 15 seconds"
    latch = await latched_by(rollout, "firstEventSuccess")
    assert (latch["value"], latch["threshold"]) == (0, 0.95)


async def test_as_many_who_fare_well_are_let_be(rollout: GuardedRollout) -> None:
    await rollout.go_live(100)
    async with opened(rollout, rollout.people(SUBJECTS, 100, streaming=True)):
        await rollout.seconds(2 * WINDOW_SECONDS)
        answer = await rollout.verdict()
    await rollout.is_as_it_was(100)
    for name in ("errorRate", "fallbackRate", "firstEventSuccess"):
        assert answer["metrics"][name]["samples"] == SUBJECTS, "an open stream is a success in every window"
    assert answer["metrics"]["fallbackRate"]["value"] == 0


@asynccontextmanager
async def half(rollout: GuardedRollout) -> AsyncIterator[tuple[list[Caller], list[str]]]:
    """A rollout at 50 % in which all fare well: a hundred stream, whom it gives, and as many have polled.

    A third of those who stream may fall back before a limit is passed.
    """
    limits = {"fallbackRate": {"promote": 0.01, "fail": 0.33}, "margins": {"fallbackRate": 0.05}}
    await rollout.go_live(50, **limits)
    streaming = rollout.people(SUBJECTS, 50, streaming=True)
    polling = rollout.people(SUBJECTS, 50, streaming=False)
    async with opened(rollout, streaming) as ids:
        await all_of(caller.poll() for caller in polling)
        yield streaming, ids


async def test_harm_to_those_who_stream_is_found_beside_a_control_that_is_well(
    rollout: GuardedRollout,
) -> None:
    async with half(rollout) as (streaming, ids):
        await fall_back(streaming[:30], ids[:30])
        compared = (await rollout.verdict())["cohorts"]["metrics"]["fallbackRate"]
        assert await seconds_until_latched(rollout, FIFTH + 2) <= FIFTH + 1
    assert (compared["streaming"]["share"], compared["polling"]["share"]) == (0.3, 0)
    assert (compared["margin"], compared["outcome"]) == (0.05, "worse")
    assert compared["low"] > compared["margin"]
    latch = await latched_by(rollout, "fallbackRate")
    assert (latch["value"], latch["threshold"]) == (pytest.approx(0.3), 0.05)
    assert "30 % of 100 callers who stream" in latch["reason"]
    assert "0 % of 100 callers who poll" in latch["reason"]


async def test_harm_that_may_be_chance_holds_and_says_how_many_callers_would_decide(
    rollout: GuardedRollout,
) -> None:
    async with half(rollout) as (streaming, ids):
        await fall_back(streaming[:8], ids[:8])
        await rollout.seconds(2 * FIFTH)
        answer = await rollout.verdict()
    await rollout.is_as_it_was(50)
    compared = answer["cohorts"]["metrics"]["fallbackRate"]
    assert compared["low"] < compared["margin"] < compared["high"]
    assert (answer["verdict"], compared["outcome"], compared["moreWanted"] > 0) == ("hold", "undecided", True)


async def test_whoever_stays_and_fares_well_is_promoted_step_by_step_without_new_callers(
    rollout: GuardedRollout,
) -> None:
    """With a margin that so many callers a side are enough for, and changes that both sides see."""
    margins = {"errorRate": 0.15, "pushLagP99Ms": 0.15, "firstEventSuccess": 0.15, "fallbackRate": 0.15}
    await rollout.go_live(10, margins=margins, steps=[10, 25, 50])
    streaming = rollout.people(SUBJECTS, 10, streaming=True)
    polling = rollout.people(SUBJECTS, 50, streaming=False)
    async with opened(rollout, streaming):

        async def live(second: int) -> None:
            await all_of(caller.poll() for caller in (polling if second % 20 == 0 else polling[:2]))
            await polling[0].send(EVENTS, [event(second)])

        for percentage in (25, 50):
            await rollout.seconds(WINDOW_SECONDS + 10, live)
            flag = await rollout.flag()
            assert (flag["percentage"], flag["latch"]) == (percentage, None), await rollout.verdict()
    revisions = (await rollout.admin.get(f"{ORDERS}/revisions")).json()["revisions"]
    assert [one["who"] for one in revisions[1:]] == ["guard", "guard"]
    assert all("100 callers who stream" in one["why"] for one in revisions[1:])
