"""Events that are still to be published, in order and in memory: an application's outbox table, in small."""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

from gateway.demo.orders import OrderError

MAX_EVENTS = 5000

Event = dict[str, Any]


class OutboxFull(OrderError):
    """The change can't be told to anybody, and is therefore not made."""

    code = "outbox_full"


class Outbox:
    """First in, first out. `dropped` counts what has left it."""

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._max_events = max_events
        self._events: deque[Event] = deque()
        self._filled = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, events: Sequence[Event]) -> None:
        """Takes all of `events`, or raises OutboxFull and takes none."""
        if len(self._events) + len(events) > self._max_events:
            raise OutboxFull(f"{len(self._events)} events are still to be published: try again later.")
        self._events.extend(events)
        if self._events:
            self._filled.set()

    async def first(self, count: int) -> list[Event]:
        """At least one event, and at most `count`; waits until there is one. They stay until dropped."""
        await self._filled.wait()
        return list(islice(self._events, count))

    def drop(self, count: int) -> None:
        """Drops the first `count`."""
        for _ in range(count):
            self._events.popleft()
        self.dropped += count
        if not self._events:
            self._filled.clear()
