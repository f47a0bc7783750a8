"""Appends that wait together share a transaction, and its commit."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from adapters.postgres.connection import SessionLost
from adapters.postgres.faults import is_refusal
from adapters.postgres.rows import Columns, joined, size_of
from gateway.core.errors import LogError
from gateway.core.events import Position
from gateway.runtime.idempotency import closed

MAX_GROUP_EVENTS = 1000
MAX_GROUP_BYTES = 1 << 20

Placed = tuple[str, list[Position]]
"""An epoch, and positions in it."""

Send = Callable[[Columns], Awaitable[Placed]]
"""Appends these rows in one transaction, all or none; gives where they stand, in order."""


class _Waiting(NamedTuple):
    columns: Columns
    events: int
    size: int
    done: asyncio.Future[Placed]


class Writer:
    """Appends in groups: what comes while `run` is busy goes out together, in the order in which it came.

    A commit costs the same for one event as for hundreds, and where it notifies, Postgres makes the next one
    wait for it. `run` may run more than once: so many transactions are under way at a time.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._rested = asyncio.Event()
        self._busy = 0
        self._is_closed = False

    async def append(self, columns: Columns, count: int) -> Placed:
        """Appends these rows, so many: all or none. Gives where they stand. Raises LogError."""
        if self._is_closed:
            raise closed()
        done: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(columns, count, size_of(columns), done))
        self._arrived.set()
        return await done

    async def run(self) -> None:
        """Sends what waits, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while group := self._group():
                self._busy += 1
                try:
                    await self._write(group)
                finally:
                    self._busy -= 1
                    self._rested.set()

    async def close(self, seconds: float) -> None:
        """Refuses what waits and what comes, and lets what is being sent end, at most for so long."""
        self._is_closed = True
        while self._waiting:
            _fail(self._waiting.popleft(), closed())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._busy:
                    self._rested.clear()
                    await self._rested.wait()

    def _group(self) -> list[_Waiting]:
        """The next ones to be sent: one at least, whatever its size, and no more than a group may hold."""
        group: list[_Waiting] = []
        events = size = 0
        while self._waiting:
            events += self._waiting[0].events
            size += self._waiting[0].size
            if group and (events > MAX_GROUP_EVENTS or size > MAX_GROUP_BYTES):
                # The others that run may take the rest at once.
                self._arrived.set()
                break
            waiting = self._waiting.popleft()
            # Whoever was cancelled before its turn does not want it appended any more.
            if not waiting.done.done():
                group.append(waiting)
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        error = LogError("The log was closed or failed: whether the events were appended is not known.")
        try:
            epoch, positions = await self._send(joined([waiting.columns for waiting in group]))
            following = iter(positions)
            for waiting in group:
                own = [next(following) for _ in range(waiting.events)]
                if not waiting.done.done():
                    waiting.done.set_result((epoch, own))
        except LogError as failure:
            error = failure
            if len(group) > 1 and is_refusal(failure) and not isinstance(failure, SessionLost):
                # Nothing of it was appended. What the server refuses of one must not be the others' loss.
                for waiting in group:
                    await self._write([waiting])
        finally:
            for waiting in group:
                _fail(waiting, error)


def _fail(waiting: _Waiting, error: LogError) -> None:
    if not waiting.done.done():
        # Each caller gets an error of its own: one object raised in several places mixes their tracebacks.
        copy = type(error)(error.detail)
        copy.__cause__ = error.__cause__
        waiting.done.set_exception(copy)
