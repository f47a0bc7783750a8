"""Asks for the states that streams wait for, until they are known."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core import chance
from gateway.core.backoff import Backoff
from gateway.delivery.hub import Hub
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.state.queue import StateQueue
from gateway.delivery.state.shared import NoSuchState, SharedStates
from gateway.ports.state import StateUnknown
from gateway.runtime.slices import Slices
from gateway.runtime.supervisor import Supervisor

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 5.0
"""How long after a failure a state is asked for again, at most: drawn, and longer each time up to that."""


class StateAsking:
    """Serves the questions of `queue`, which is that of the hub: each until it is answered or nobody waits.

    `pause` waits for that many seconds; `draw(low, high)` is where chance comes in.
    """

    def __init__(
        self,
        states: SharedStates,
        hub: Hub,
        queue: StateQueue,
        slices: Slices,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[float, float], float] = chance.draw,
    ) -> None:
        self._states = states
        self._hub = hub
        self._queue = queue
        self._slices = slices
        self._pause = pause
        self._draw = draw

    def start(self, supervisor: Supervisor) -> None:
        """Begins to ask."""
        supervisor.run("state", self.run)

    async def run(self) -> None:
        """Asks for ever: at first again for whatever streams wait for already."""
        self._queue.clear()
        async with asyncio.TaskGroup() as group:
            for question in self._hub.state_readers.asked:
                group.create_task(self._answer(question))
            while True:
                group.create_task(self._answer(await self._queue.take()))
                # To take one is to wait for nothing where a thousand came in one turn of the loop.
                await asyncio.sleep(0)

    async def _answer(self, question: StateQuestion) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, self._draw)
        while self._hub.state_readers.is_awaited(question):
            try:
                parts = await self._states.parts(question)
            except StateUnknown:
                await self._pause(backoff.next())
            except NoSuchState:
                await self._slices.run(self._hub.state_told(question, None))
            except Exception as error:  # noqa: BLE001 - whatever it was, other streams get their state
                self._hub.failures.report("state", error)
                await self._pause(backoff.next())
            else:
                await self._slices.run(self._hub.state_told(question, parts))
