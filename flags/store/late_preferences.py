"""Preferences whose file is made when somebody has chosen something, and not before."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from flags.decide.modes import Delivery
from flags.errors import StoreUnreadable, StoreUnwritable
from flags.store.preferences import FilePreferences
from flags.tell import Tell
from flags.times import wall_ms


class LatePreferences:
    """Preferences in the file at `path`, which the first choice makes where there is none."""

    def __init__(self, path: Path, *, tell: Tell, now_ms: Callable[[], int] = wall_ms) -> None:
        self._path = path
        self._tell = tell
        self._now_ms = now_ms
        self._outage = tell.outage("preferences")
        self._kept: FilePreferences | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False

    async def start(self) -> None:
        if self._path.exists():
            await self._open()

    async def close(self) -> None:
        self._is_closed = True
        async with self._opening:
            kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()

    async def get(self, key: str) -> Delivery:
        return "auto" if self._kept is None else await self._kept.get(key)

    async def put(self, key: str, delivery: Delivery) -> None:
        if self._kept is None and delivery == "auto" and not self._path.exists():
            return
        try:
            kept = await self._open()
        except StoreUnreadable as error:
            self._outage.failed(error=error)
            raise StoreUnwritable("The preference could not be kept.") from error
        self._outage.over()
        await kept.put(key, delivery)

    async def _open(self) -> FilePreferences:
        async with self._opening:
            if self._is_closed:
                raise StoreUnwritable("The store is closed.")
            if self._kept is None:
                kept = FilePreferences(self._path, tell=self._tell, now_ms=self._now_ms)
                await kept.start()
                self._kept = kept
            return self._kept
