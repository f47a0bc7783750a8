"""Long work on the event loop, in slices between which everything else has its turn."""

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar

SLICE_SECONDS = 0.002
"""How long the loop is held at a time, and how long it is left to all else after that."""

_R = TypeVar("_R")


class Slices:
    """The pace of one piece of work; `now` gives monotonic seconds.

    A thread would not do: it holds the interpreter for 5 ms at a time whenever the loop wants it back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ends = now() + SLICE_SECONDS

    async def pause(self) -> None:
        """To be called after each step, which takes some microseconds: waits where the slice is over."""
        if self._now() >= self._ends:
            await asyncio.sleep(SLICE_SECONDS)
            self._ends = self._now() + SLICE_SECONDS

    async def run(self, steps: Generator[None, None, _R]) -> _R:
        """What `steps` returns in the end."""
        while True:
            try:
                next(steps)
            except StopIteration as done:
                result: _R = done.value
                return result
            await self.pause()
