"""What waits to be written is written together: in batches, in the order in which it came."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from gateway.core.errors import LogError
from gateway.runtime.idempotency import closed

MAX_EVENTS = 1000
MAX_BYTES = 1 << 20

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Waiting(NamedTuple, Generic[Item, Answer]):
    item: Item
    events: int
    size: int
    done: asyncio.Future[Answer]


class Batcher(Generic[Item, Answer]):
    """Writes what comes while `run` is busy together: a commit costs the same for one event as for hundreds.

    `write` takes items in the order in which they came, and gives an answer for each. Where it raises
    LogError, all of the batch fail with it. With `splits_refused` each is written by itself after a refusal:
    what the server refuses of one must not be the others' loss.

    A batch has at most `max_events` and `max_bytes`, but one item at least. `run` may run more than once: so
    many batches are under way at a time. What waits has no bound of its own: each item is held by its caller.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        *,
        splits_refused: bool = False,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._write = write
        self._splits_refused = splits_refused
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._arrived = asyncio.Event()
        self._rested = asyncio.Event()
        self._busy = 0
        self._is_closed = False

    async def append(self, item: Item, events: int, size: int) -> Answer:
        """What `write` answers for `item`, which holds so many events in so many bytes.

        Raises LogError. One that is cancelled before its turn is not written.
        """
        if self._is_closed:
            raise closed()
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, events, size, done))
        self._arrived.set()
        return await done

    async def run(self) -> None:
        """Writes what waits, for ever. What `write` raises but LogError ends it; run it again then."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            self._busy += 1
            try:
                while batch := self._batch():
                    await self._settle(batch)
            finally:
                self._busy -= 1
                self._rested.set()

    async def close(self, seconds: float) -> None:
        """Refuses what comes, and lets what has come be written, at most for so long; then refuses the rest.

        What is being written when the time is over goes on until `run` is cancelled.
        """
        self._is_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._busy or self._waiting:
                    self._rested.clear()
                    await self._rested.wait()
        while self._waiting:
            _fail(self._waiting.popleft(), closed())

    def _batch(self) -> list[_Waiting[Item, Answer]]:
        """The next ones to be written; none where none wait."""
        batch: list[_Waiting[Item, Answer]] = []
        events = size = 0
        while self._waiting:
            events += self._waiting[0].events
            size += self._waiting[0].size
            if batch and (events > self._max_events or size > self._max_bytes):
                # The others that run may take the rest at once.
                self._arrived.set()
                break
            waiting = self._waiting.popleft()
            if not waiting.done.done():
                batch.append(waiting)
        return batch

    async def _settle(self, batch: Sequence[_Waiting[Item, Answer]]) -> None:
        error = LogError("The log was closed or failed: whether the events were appended is not known.")
        try:
            answers = await self._write([waiting.item for waiting in batch])
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.done.done():
                    waiting.done.set_result(answer)
        except LogError as failure:
            error = failure
            if len(batch) > 1 and self._splits_refused and failure.is_refusal:
                for waiting in batch:
                    await self._settle([waiting])
        finally:
            for waiting in batch:
                _fail(waiting, error)


def _fail(waiting: _Waiting[Any, Any], error: LogError) -> None:
    if not waiting.done.done():
        # Each caller gets an error of its own: one object raised in several places mixes their tracebacks.
        copy = type(error)(error.detail)
        copy.__cause__ = error.__cause__
        waiting.done.set_exception(copy)
