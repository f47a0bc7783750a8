"""Which node does what only one is to do: leases in the store that all nodes share (gateway/ports/leases.py).

A lease runs out by the server's clock some seconds after its holder stops renewing it. It saves work; it
proves nothing: a node that was asleep may believe in one that another has by now (Kleppmann, "How to do
distributed locking", 2016). Whoever writes what only the holder may write compares and sets a version.
"""

import asyncio
import contextlib

from gateway.core.errors import LogError
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedStore

TTL_SECONDS = 3.0
_RENEWALS = 3
"""How often a lease is renewed while it would last."""


class SharedLeases:
    """Leases of which each node has some: those of `node`, which no other node is called."""

    is_shared = True

    def __init__(self, store: SharedStore, node: str, clock: Clock, ttl_seconds: float = TTL_SECONDS) -> None:
        self.store = store
        self._node = node.encode()
        self._clock = clock
        self._ttl = ttl_seconds
        self._held: dict[str, _Held] = {}

    def holds(self, name: str) -> bool:
        held = self._held.get(name)
        return held is not None and self._clock.monotonic() < held.until

    async def acquire(self, name: str, *, steal: bool = False) -> bool:
        if self.holds(name):
            return True
        asked_at = self._clock.monotonic()
        entry = await self.store.get(_key(name))
        if entry is not None and entry.value != self._node and not steal:
            return False
        expected = 0 if entry is None else entry.version
        version = await self.store.put(_key(name), self._node, expected=expected, ttl_seconds=self._ttl)
        if version is None:
            self._held.pop(name, None)
            return False
        self._held[name] = _Held(version, asked_at + self._ttl)
        return True

    async def release(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            await self.store.remove(_key(name), expected=held.version)

    async def release_all(self) -> None:
        for name in list(self._held):
            await self.release(name)

    async def run(self) -> None:
        """Renews what is held, until it is cancelled. Raises nothing: what can't be renewed runs out."""
        while True:
            await asyncio.sleep(self._ttl / _RENEWALS)
            for name in list(self._held):
                # Who needs the lease asks for it anew once it has run out, and is told why it can't be had.
                with contextlib.suppress(LogError):
                    await self.renew(name)

    async def renew(self, name: str) -> None:
        """Lets the lease last from now on; forgets one that another node has by now."""
        held = self._held.get(name)
        if held is None:
            return
        asked_at = self._clock.monotonic()
        version = await self.store.put(_key(name), self._node, expected=held.version, ttl_seconds=self._ttl)
        known = self._held.get(name)
        if known is None and version is not None:
            # Released meanwhile, under the version before.
            await self.store.remove(_key(name), expected=version)
        elif known is held and version is not None:
            self._held[name] = _Held(version, asked_at + self._ttl)
        elif known is held:
            del self._held[name]


class EveryLease:
    """The leases of a node that shares `store` with nobody: each is its own, always."""

    is_shared = False

    def __init__(self, store: SharedStore) -> None:
        self.store = store

    def holds(self, name: str) -> bool:
        return True

    async def acquire(self, name: str, *, steal: bool = False) -> bool:
        return True

    async def release(self, name: str) -> None:
        """Nobody else could have it."""

    async def release_all(self) -> None:
        """Nobody else could have them."""

    async def run(self) -> None:
        """Returns at once: there is nothing to renew."""


class _Held:
    __slots__ = ("until", "version")

    def __init__(self, version: int, until: float) -> None:
        self.version = version
        self.until = until


def _key(name: str) -> str:
    return f"lease:{name}"
