"""The real event loop, given turns until something holds: no test waits for time to pass."""

import asyncio
from collections.abc import Callable

MAX_TURNS = 10_000


async def until(holds: Callable[[], bool], what: str) -> None:
    """Lets the loop's other tasks run until `holds()`; fails where they come to rest before that."""
    for _ in range(MAX_TURNS):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"never came true: {what}")


async def let_others_run(turns: int = 20) -> None:
    """Gives the loop's other tasks enough turns for whatever they can do without outside help."""
    for _ in range(turns):
        await asyncio.sleep(0)
