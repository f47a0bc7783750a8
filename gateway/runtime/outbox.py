"""Messages that wait to be sent: the oldest go where there are too many, and none gets stale."""

import asyncio
from collections import deque

from gateway.ports.clock import Clock

MAX_BYTES = 1_048_576
MAX_AGE_SECONDS = 5.0
"""How long a message is worth sending. What has to be known longer than that is said again by its sender."""


class Outbox:
    """A queue of messages; `lost` counts those that it dropped."""

    def __init__(
        self, clock: Clock, *, max_bytes: int = MAX_BYTES, max_age_seconds: float = MAX_AGE_SECONDS
    ) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: bytes) -> None:
        """Takes a message in behind the others, of which the oldest go while all are too many bytes."""
        self._drop_stale()
        self._waiting.append((self._clock.monotonic(), message))
        self._bytes += len(message)
        self._filled.set()
        while self._bytes > self._max_bytes:
            self._drop()

    def take(self, max_bytes: int) -> list[bytes]:
        """Takes out the oldest that are not stale: `max_bytes` of them, or one that is larger."""
        self._drop_stale()
        taken: list[bytes] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0][1]) <= max_bytes):
            taken.append(self._pop())
            size += len(taken[-1])
        if not self._waiting:
            self._filled.clear()
        return taken

    async def wait(self, seconds: float) -> None:
        """Returns once there is a message, after `seconds` at the latest."""
        try:
            async with asyncio.timeout(seconds):
                await self._filled.wait()
        except TimeoutError:
            return

    def clear(self) -> None:
        """Drops all."""
        while self._waiting:
            self._drop()
        self._filled.clear()

    def _drop_stale(self) -> None:
        fresh = self._clock.monotonic() - self._max_age_seconds
        while self._waiting and self._waiting[0][0] < fresh:
            self._drop()

    def _drop(self) -> None:
        self._pop()
        self.lost += 1

    def _pop(self) -> bytes:
        _, message = self._waiting.popleft()
        self._bytes -= len(message)
        return message
