"""Streams behind the history that wait to read the log: from_history.py adds, from_log.py serves them."""

import asyncio
from collections import OrderedDict

from gateway.delivery.subscriber import Subscriber


class ReplayQueue:
    """Streams that are behind the history, in the order in which they came. Its length is how many wait.

    One that is being served does not wait as well: whoever serves it goes on until it is done.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[Subscriber, None] = OrderedDict()
        self._served: set[Subscriber] = set()
        self._wanted = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, subscriber: Subscriber) -> None:
        """It waits for its turn. Adding one that waits, or is served, does nothing."""
        if subscriber not in self._served:
            self._waiting[subscriber] = None
            self._wanted.set()

    def drop(self, subscriber: Subscriber) -> None:
        """It waits no more, if it did."""
        self._waiting.pop(subscriber, None)

    async def take(self) -> Subscriber:
        """The one that waits longest, once there is one. It is being served until `done`."""
        while not self._waiting:
            self._wanted.clear()
            await self._wanted.wait()
        subscriber, _ = self._waiting.popitem(last=False)
        self._served.add(subscriber)
        return subscriber

    def done(self, subscriber: Subscriber, *, again: bool) -> None:
        """It is served no more. With `again` it waits for who takes the next one; nobody is woken for it."""
        self._served.discard(subscriber)
        if again:
            self._waiting[subscriber] = None
