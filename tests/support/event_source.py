"""An EventSource as browsers have it: what brings it back, and what ends it (HTML standard, section 9.2)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import aiohttp

from tests.support.sse import Frame, FrameReader

FIRST_RETRY_SECONDS = 0.1
"""Before a server says otherwise. Browsers wait for some seconds."""


class SourceFailed(Exception):
    """What the standard calls failing the connection: a browser's EventSource never comes back from it."""


class EventSource:
    """Follows `url` until it is told to stop; `seen` gets each event that came whole."""

    def __init__(self, url: str, seen: Callable[[Frame], None]) -> None:
        self._url = url
        self._seen = seen
        self._last_id = ""
        self._retry_seconds = FIRST_RETRY_SECONDS
        self.opened = 0
        """How often a stream was opened."""

    async def run(self) -> None:
        """Reconnects for ever. Raises SourceFailed for an answer after which a browser would not."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            while True:
                # A network error: the standard has it reestablish the connection.
                with suppress(aiohttp.ClientError):
                    await self._follow(session)
                await asyncio.sleep(self._retry_seconds)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        async with session.get(self._url, headers=headers) as answer:
            if answer.status != 200 or answer.content_type != "text/event-stream":
                raise SourceFailed(f"{answer.status} {answer.content_type}")
            self.opened += 1
            reader = FrameReader(by_proxy=True)
            async for part in answer.content.iter_any():
                for frame in reader.feed(part):
                    self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.retry is not None:
            self._retry_seconds = frame.retry / 1000
        if frame.id is not None:
            self._last_id = frame.id
        if frame.data is not None:
            self._seen(frame)
