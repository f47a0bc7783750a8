"""States that streams wait for: readers.py adds what is to be asked for, asking.py asks."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.delivery.state.question import StateQuestion


class StateQueue:
    """Questions in the order in which they came. `knows` says whether there is somebody to ask one."""

    def __init__(self, knows: Callable[[StateQuestion], bool]) -> None:
        self.knows = knows
        self._questions: deque[StateQuestion] = deque()
        self._wanted = asyncio.Event()

    def add(self, question: StateQuestion) -> None:
        """It is to be asked."""
        self._questions.append(question)
        self._wanted.set()

    async def take(self) -> StateQuestion:
        """The oldest, once there is one."""
        while not self._questions:
            self._wanted.clear()
            await self._wanted.wait()
        return self._questions.popleft()

    def clear(self) -> None:
        """Nothing is to be asked any more."""
        self._questions.clear()
