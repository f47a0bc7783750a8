"""The bounds of a log, applied from time to time: also one to which nobody appends grows old."""

import asyncio
import contextlib
from collections.abc import Callable

from adapters.redis.connection import RedisConnection
from adapters.redis.faults import Unreachable
from adapters.redis.stream import stream_key

TRIM_SECONDS = 10.0
"""How often what is too old goes. Each append sees to the count itself."""
_BATCH = 1000
"""How many entries go at a time: nothing else happens in Redis meanwhile."""


class Trimmer:
    """Keeps at most `max_events` events, and none longer than `max_age_seconds` by the server's clock."""

    def __init__(self, connection: RedisConnection, *, max_events: int, max_age_seconds: float) -> None:
        self._connection = connection
        self.max_events = max_events
        self._max_age_ms = round(max_age_seconds * 1000)

    async def trim(self, epoch: str) -> int:
        """Applies the bounds to that epoch's events. Gives how many went. Raises LogError."""
        keys = (self._connection.key("state"), stream_key(self._connection.address.prefix, epoch))
        gone = 0
        while True:
            count: int = await self._connection.script(
                "trim", keys, (epoch, self.max_events, self._max_age_ms, _BATCH)
            )
            gone += count
            if count < _BATCH:
                return gone

    async def run(self, epoch: Callable[[], str], seconds: float = TRIM_SECONDS) -> None:
        """Trims for ever. Raises LogError where Redis refuses that; run it again then.

        One that is out of reach is for whoever reads the log to tell of.
        """
        while True:
            with contextlib.suppress(Unreachable):
                await self.trim(epoch())
            await asyncio.sleep(seconds)
