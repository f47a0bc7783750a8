"""Long work in short pieces, between which the event loop serves everybody else."""

import asyncio
from collections.abc import Iterator
from typing import TypeVar

from gateway.ports.clock import Clock

SLICE_SECONDS = 0.002
"""How long the event loop is held at a time."""

T = TypeVar("T")


class Slices:
    """What the long work of many tasks may take of one event loop: one slice at a time, whoever's it is.

    They take turns, in the order in which they ask. A slice goes on from one piece of work to the next:
    many short ones would be a long one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._ends = 0.0

    async def run(self, steps: Iterator[object]) -> None:
        """Takes all steps, of which each is to be short. One that is cancelled takes no further step."""
        while True:
            async with self._turn:
                for _ in steps:
                    if self._clock.monotonic() >= self._ends:
                        break
                else:
                    return
                await asyncio.sleep(0)
                self._ends = self._clock.monotonic() + SLICE_SECONDS

    async def collect(self, items: Iterator[T]) -> list[T]:
        """All items, of which each is made when its turn comes."""
        made: list[T] = []
        await self.run(map(made.append, items))
        return made
