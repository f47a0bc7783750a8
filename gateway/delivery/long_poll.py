"""A long poll's wait for events that match."""

import asyncio
from types import TracebackType
from typing import Self

from gateway.core.credentials import NOBODY, Credentials
from gateway.core.events import ORIGIN, Position
from gateway.core.selectors import Selector
from gateway.delivery.group import Groups


class LongPoll:
    """Wakes at the next flush that `selector` matches, or when the gateway drains.

    Also where its caller's `credentials` are revoked.

    A context manager: within it, `wait` may be called any number of times.
    """

    def __init__(self, groups: Groups, selector: Selector, credentials: Credentials | None = None) -> None:
        self.credentials = credentials
        self._groups = groups
        self._group = groups.get(selector, None)
        self._group.readers += 1
        self._future: asyncio.Future[Position] | None = None

    async def wait(self, seconds: float) -> Position | None:
        """Waits for a match, at most that long; None where there was none.

        Gives a position up to which nothing matched since the wait began.
        """
        self._future = asyncio.get_running_loop().create_future()
        self._group.waiters.add(self._future)
        try:
            async with asyncio.timeout(seconds):
                return await self._future
        except TimeoutError:
            # A match may have come in the very step in which the time was over.
            is_matched = self._future.done() and not self._future.cancelled()
            return self._future.result() if is_matched else None

    def wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(ORIGIN)

    def __enter__(self) -> Self:
        if self.credentials not in (None, NOBODY):
            self._groups.long_polls[self] = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._groups.long_polls.pop(self, None)
        if self._future is not None:
            self._group.waiters.discard(self._future)
        self._group.readers -= 1
        self._groups.release(self._group)
