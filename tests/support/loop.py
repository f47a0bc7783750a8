"""The real event loop, given turns until something holds: no test waits for time to pass."""

import asyncio
from collections.abc import Callable

from tests.support.http import DEADLINE_SECONDS

MAX_TURNS = 10_000


async def until(holds: Callable[[], bool], what: str) -> None:
    """Lets the loop's other tasks run until `holds()`; fails where they come to rest before that."""
    for _ in range(MAX_TURNS):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"never came true: {what}")


async def in_time(holds: Callable[[], bool], what: str) -> None:
    """Waits until `holds()`, which a thread or a timer brings about; fails where it never comes true."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not holds():  # noqa: ASYNC110 - what makes it true sets no event
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


async def let_others_run(turns: int = 20) -> None:
    """Gives the loop's other tasks enough turns for whatever they can do without outside help."""
    for _ in range(turns):
        await asyncio.sleep(0)
