"""A SharedStore in memory, for nodes of one process, that can fail when told to."""

import asyncio
from collections.abc import Callable
from typing import Literal

from gateway.core.errors import LogError
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedEntry

Failure = Literal["before", "after", "refused"]
"""Whether a call fails before or after it was carried out; or the server says no."""


class MemorySharedStore:
    """What a server would keep; `fails` is asked at every call whether that fails."""

    def __init__(self, clock: Clock, fails: Callable[[], Failure | None] = lambda: None) -> None:
        self._clock = clock
        self._fails = fails
        self._entries: dict[str, tuple[SharedEntry, float | None]] = {}
        self._last_version = 0
        self._put: list[tuple[str, bytes]] = []

    def heal(self) -> None:
        """From now on no call fails."""
        self._fails = lambda: None

    def keys(self) -> list[str]:
        """The keys under which something was put."""
        return list(self._entries)

    def first(self, prefix: str, wanted: Callable[[bytes], bool] = bool) -> bytes | None:
        """The first value that was put under a key that begins so, and that is wanted."""
        values = (value for key, value in self._put if key.startswith(prefix))
        return next((value for value in values if wanted(value)), None)

    async def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to close."""

    async def get(self, key: str) -> SharedEntry | None:
        await self._travel(self._fails() is not None)
        return self._there(key)

    async def version(self, key: str) -> int:
        await self._travel(self._fails() is not None)
        there = self._there(key)
        return 0 if there is None else there.version

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        failure = self._fails()
        await self._travel(failure == "before")
        if failure == "refused":
            refusal = LogError("The server has no room left.")
            refusal.is_refusal = True
            raise refusal
        there = self._there(key)
        if expected is not None and expected != (0 if there is None else there.version):
            return None
        self._last_version += 1
        version = self._last_version
        until = None if ttl_seconds is None else self._clock.monotonic() + ttl_seconds
        self._put.append((key, value))
        self._entries[key] = (SharedEntry(value, version), until)
        await self._travel(failure == "after")
        return version

    async def remove(self, key: str, *, expected: int | None = None) -> bool:
        failure = self._fails()
        await self._travel(failure == "before")
        there = self._there(key)
        if there is None or expected not in (None, there.version):
            return False
        del self._entries[key]
        await self._travel(failure == "after")
        return True

    def _there(self, key: str) -> SharedEntry | None:
        entry, until = self._entries.get(key, (None, None))
        return None if until is not None and until <= self._clock.monotonic() else entry

    async def _travel(self, fails: bool) -> None:
        await asyncio.sleep(0)
        if fails:
            raise LogError("The server is out of reach.")
