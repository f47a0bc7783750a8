"""Appends that wait together go out together, one group at a time and in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from gateway.core.errors import LogError
from gateway.core.events import Cursor, Position
from gateway.ports.log import Appended

MAX_GROUP_EVENTS = 1000
MAX_GROUP_BYTES = 1 << 20

Send = Callable[[int, Sequence[bytes]], Awaitable[Cursor]]
"""Appends these payloads as the call of that number, all or none; gives where the first one stands."""


class _Waiting(NamedTuple):
    payloads: Sequence[bytes]
    done: asyncio.Future[Appended]


class Writer:
    """One writer of a log. It numbers its calls of `send`, so that a call that is made again is known."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._calls = 0
        self._is_closed = False

    async def append(self, payloads: Sequence[bytes]) -> Appended:
        """Appends all of `payloads` or none. Raises LogError."""
        if self._is_closed:
            raise _closed()
        waiting = _Waiting(payloads, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.done

    async def run(self) -> None:
        """Sends what waits, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while group := self._group():
                await self._write(group)

    def close(self) -> None:
        """Refuses what waits and what comes. What `run` was sending is not known to be appended or not."""
        self._is_closed = True
        while self._waiting:
            _fail(self._waiting.popleft(), _closed())

    def _group(self) -> list[_Waiting]:
        """The next ones to be sent: one at least, whatever its size, and no more than a group may hold."""
        group: list[_Waiting] = []
        events = size = 0
        while self._waiting:
            waiting = self._waiting[0]
            events += len(waiting.payloads)
            size += sum(map(len, waiting.payloads))
            if group and (events > MAX_GROUP_EVENTS or size > MAX_GROUP_BYTES):
                break
            self._waiting.popleft()
            # Whoever was cancelled before its turn does not want it appended any more.
            if not waiting.done.done():
                group.append(waiting)
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        self._calls += 1
        error = LogError("The log was closed or failed: whether the events were appended is not known.")
        try:
            first = await self._send(self._calls, [one for each in group for one in each.payloads])
        except LogError as failure:
            error = failure
        else:
            place = first
            for waiting in group:
                count = len(waiting.payloads)
                if not waiting.done.done():
                    waiting.done.set_result(appended(place, count))
                place = Cursor(place.epoch, Position(place.position.major, place.position.minor + count))
        finally:
            for waiting in group:
                _fail(waiting, error)


def appended(first: Cursor, count: int, *, replayed: bool = False) -> Appended:
    """So many events that stand one after the other."""
    major, minor = first.position
    return Appended(first.epoch, [Position(major, minor + index) for index in range(count)], replayed)


def _fail(waiting: _Waiting, error: LogError) -> None:
    if not waiting.done.done():
        # Each caller gets an error of its own: one object raised in several places mixes their tracebacks.
        copy = type(error)(error.detail)
        copy.__cause__ = error.__cause__
        waiting.done.set_exception(copy)


def _closed() -> LogError:
    return LogError("The log is closed: the gateway is stopping. Publish to another node, or again.")
