"""Where revocations are kept: beside the log where that lasts, else in a file beside the flags."""

import asyncio

from adapters.sqlite import SqliteShared
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedEntry, SharedStore
from gateway.service.settings import Settings

_FILE = "file:"


class Beside:
    """The values of what the nodes share; without that those of a file, which the first value makes.

    So a restart of a gateway whose log is in memory forgives nobody. Others close what the nodes share.
    """

    def __init__(self, settings: Settings, clock: Clock, shared: SharedStore | None) -> None:
        flags = settings.base_dir / settings.flags.store.removeprefix(_FILE)
        self._path = flags.with_name(f"{flags.stem}.revocations.db")
        self._shared = shared
        self._file = SqliteShared(self._path, clock)
        self._is_open = False
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        async with self._opening:
            if self._is_open:
                self._is_open = False
                await self._file.close()

    async def get(self, key: str) -> SharedEntry | None:
        """Raises LogError where it can't be read."""
        if self._shared is not None:
            return await self._shared.get(key)
        if not self._is_open and not self._path.exists():
            return None
        return await (await self._opened()).get(key)

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int | None:
        """Raises LogError where it can't be written."""
        store = self._shared or await self._opened()
        return await store.put(key, value, expected=expected)

    async def _opened(self) -> SqliteShared:
        async with self._opening:
            if not self._is_open:
                try:
                    await self._file.start()
                    self._is_open = True
                finally:
                    if not self._is_open:
                        await self._file.close()
        return self._file
