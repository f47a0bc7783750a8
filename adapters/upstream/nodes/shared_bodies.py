"""The bodies of one route's answers, in the store that all nodes share."""

import math
from collections.abc import Collection

from adapters.upstream.long_bodies import joined
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedStore

BODY_TTL_SECONDS = 86_400.0
"""How long a body stays that nobody keeps any more; that of the current answer is kept anew before."""
FLEETING_TTL_SECONDS = 3600.0
"""The same for one of many lists that come and go: of thousands, none is to lie there for a day."""
PART_BYTES = 131_072
"""What the store is given at once. Postgres' driver quotes a value in one piece, 2 to 7 ms a megabyte with
several copies of it, and lets nobody else run meanwhile."""


class SharedBodies:
    """Each body is under its digest, in parts of PART_BYTES, of which the last is shorter, be it empty.

    So a body is whole where a shorter part follows the others: of one that is being kept or dropped
    somebody else finds nothing. Methods raise LogError; what was done before that stays done.
    """

    def __init__(
        self, store: SharedStore, name: str, clock: Clock, ttl_seconds: float = BODY_TTL_SECONDS
    ) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._ttl = ttl_seconds
        # Of each body that this node has kept: when it has to be kept anew.
        self._keep_again_at: dict[str, float] = {}
        # Of each body that this node kept or loaded since `forget`: the versions of its parts, by number.
        self._versions: dict[str, dict[int, int]] = {}

    async def keep(self, digest: str, body: bytes) -> None:
        """Sees to it that the others find the body for a good while."""
        now = self._clock.monotonic()
        if now < self._keep_again_at.get(digest, -math.inf):
            return
        versions = self._versions.setdefault(digest, {})
        for number, start in enumerate(range(0, len(body) + 1, PART_BYTES)):
            part = body[start : start + PART_BYTES]
            version = await self._store.put(self._key(digest, number), part, ttl_seconds=self._ttl)
            assert version is not None, "it is set whatever is there"
            versions[number] = version
        self._keep_again_at[digest] = now + self._ttl / 4

    async def load(self, digest: str) -> bytes | None:
        """The body; None where it is gone."""
        versions: dict[int, int] = {}
        parts: list[bytes] = []
        while not parts or len(parts[-1]) == PART_BYTES:
            entry = await self._store.get(self._key(digest, len(parts)))
            if entry is None:
                return None
            versions[len(parts)] = entry.version
            parts.append(entry.value)
        self._versions[digest] = versions
        return await joined(parts)

    async def let_go_but(self, digests: Collection[str]) -> None:
        """Removes every other body, by the versions that this node knows.

        Another node may just have kept the same body anew: that stays.
        """
        for outdated in self._versions.keys() - set(digests):
            self._keep_again_at.pop(outdated, None)
            versions = self._versions[outdated]
            while versions:
                number, version = versions.popitem()
                await self._store.remove(self._key(outdated, number), expected=version)
            del self._versions[outdated]

    def doubt(self) -> None:
        """What this node kept may be gone: it is kept anew when it is needed."""
        self._keep_again_at.clear()

    def forget(self) -> None:
        """Another node has changed what there is: this one drops nothing that it knew of."""
        self._keep_again_at.clear()
        self._versions.clear()

    def _key(self, digest: str, number: int) -> str:
        return f"body:{self._name}:{digest}:{number}"
