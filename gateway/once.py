"""What was appended under each idempotency key, for a log that lives in one process."""

import asyncio
from collections.abc import Awaitable, Callable

from cachetools import TTLCache

from gateway.clock import Clock
from gateway.errors import IdempotencyConflict, LogError
from gateway.log import ONCE_SECONDS, Appended

MAX_KEYS = 10_000


class Once:
    """Remembers at most `MAX_KEYS` keys; beyond that it forgets the oldest before its time."""

    def __init__(self, clock: Clock) -> None:
        self._known: TTLCache[str, tuple[bytes, asyncio.Future[Appended]]] = TTLCache(
            MAX_KEYS, ONCE_SECONDS, timer=clock.monotonic
        )

    def remember(self, key: str, digest: bytes, appended: Appended) -> None:
        """Says what was appended under a key before."""
        known: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        known.set_result(appended)
        self._known[key] = (digest, known)

    async def append(self, key: str, digest: bytes, append: Callable[[], Awaitable[Appended]]) -> Appended:
        """What `append` gives, which is called for the first call with the key only; see EventLog."""
        known = self._known.get(key)
        if known is not None:
            if known[0] != digest:
                raise conflict()
            return (await asyncio.shield(known[1]))._replace(replayed=True)
        # The one who asked first may go away: what was appended must be remembered all the same.
        answer = asyncio.ensure_future(append())
        self._known[key] = (digest, answer)
        answer.add_done_callback(lambda done: self._forget_failure(key, done))
        return await asyncio.shield(answer)

    def _forget_failure(self, key: str, done: asyncio.Future[Appended]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._known.pop(key, None)


def conflict() -> IdempotencyConflict:
    """The error of a key that came with another digest."""
    return IdempotencyConflict(
        "This Idempotency-Key came with another body before: use a new key for a new request."
    )


def closed() -> LogError:
    """The error of an append to a log that was closed."""
    return LogError("The log is closed: the gateway is stopping. Publish to another node, or again.")
