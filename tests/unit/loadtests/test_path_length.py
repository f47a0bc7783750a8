"""Rounds of `loadtests/path_length.py` come to their end, whatever timers they hold back."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from loadtests.path_length import COUNTER, Loop, Profile


@pytest.fixture
def _no_profile_is_left() -> Iterator[None]:
    yield
    sys.setprofile(None)
    threading.setprofile(None)


def run(test: Callable[[Loop], Awaitable[None]]) -> None:
    async def bounded() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        await test(loop)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(bounded())


def test_a_timer_that_was_set_before_rings_after_the_release() -> None:
    async def test(loop: Loop) -> None:
        rung: list[str] = []
        loop.call_later(0.001, rung.append, "before")
        loop.hold()
        await asyncio.sleep(0.01)
        assert rung == []
        loop.release()
        await asyncio.sleep(0)
        assert rung == ["before"]

    run(test)


def test_the_bound_of_a_round_is_never_held_back() -> None:
    async def test(loop: Loop) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(0.01):
                loop.hold()
                await loop.create_future()

        with pytest.raises(TimeoutError):
            await asyncio.create_task(bounded(), name=COUNTER)

    run(test)


@pytest.mark.usefixtures("_no_profile_is_left")
def test_a_round_that_waits_for_a_timer_of_before_begins_anew() -> None:
    async def test(loop: Loop) -> None:
        rung = asyncio.Event()
        loop.call_later(0.001, rung.set)
        await Profile(loop, round_seconds=2.0, quiet_seconds=0.01).length(rung.wait)  # type: ignore[arg-type]
        assert rung.is_set()

    run(test)


@pytest.mark.usefixtures("_no_profile_is_left")
def test_what_was_under_way_when_a_round_began_does_not_keep_it_from_rest() -> None:
    async def test(loop: Loop) -> None:
        profile = Profile(loop, round_seconds=10.0, quiet_seconds=0.05)
        seen = profile._calls

        async def watch() -> None:
            """Looks more often than a rest takes, and is at it when the round begins."""
            await begun.wait()
            while True:
                seen.append(...)  # type: ignore[arg-type]
                await asyncio.sleep(0.02)

        async def action() -> None:
            assert not watching.done()

        begun = asyncio.Event()
        watching = asyncio.create_task(watch())
        loop.call_soon(loop.call_soon, loop.call_soon, begun.set)
        length = await asyncio.create_task(profile._round(action), name=COUNTER)
        watching.cancel()
        assert length is not None, "the first round is over in time"
        assert length.calls == ()

    run(test)
