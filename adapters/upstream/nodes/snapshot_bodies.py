"""The bodies of a route's snapshots, in the store that all nodes share, and in this node's memory."""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from adapters.upstream.nodes.shared_bodies import SharedBodies
from adapters.upstream.nodes.shared_snapshot import Bodies
from gateway.ports.upstreams import Snapshot

_OFFLOAD_BYTES = 65_536


class Loaded(NamedTuple):
    """The bodies of one snapshot."""

    body: bytes
    coded: bytes | None
    text: bytes | None


class SnapshotBodies:
    """Keeps and loads what snapshots have of bodies: each lies under a digest.

    That of the body is the snapshot's own. What came coded, and what the items are read from, have digests of
    their own bytes, for a body may be compressed, or made into text, in another way the next time. Methods
    raise LogError.
    """

    def __init__(self, stored: SharedBodies) -> None:
        self._stored = stored
        # Those of the snapshots that this node has now.
        self._known: dict[str, bytes] = {}

    async def keep(self, snapshot: Snapshot) -> Bodies:
        """Sees to it that the others find them for a good while; says where."""
        bodies = Bodies(snapshot.digest, await self._digest(snapshot.coded), await self.text_of(snapshot))
        for digest, body in zip(bodies, (snapshot.body, snapshot.coded, snapshot.text), strict=True):
            if digest is not None and body is not None:
                await self._stored.keep(digest, body)
                self._known[digest] = body
        return bodies

    async def text_of(self, snapshot: Snapshot) -> str | None:
        """Where the text of its items lies; None where that is the body."""
        return await self._digest(snapshot.text)

    async def load(self, bodies: Bodies) -> Loaded | None:
        """The bodies; None where the body or the text is gone."""
        body = await self.one(bodies.body)
        text = None if bodies.text is None else await self.one(bodies.text)
        if body is None or (bodies.text is not None and text is None):
            return None
        return Loaded(body, None if bodies.coded is None else await self.one(bodies.coded), text)

    async def one(self, digest: str) -> bytes | None:
        """What lies under the digest; None where that is gone."""
        known = self._known.get(digest)
        if known is None:
            known = await self._stored.load(digest)
        if known is not None:
            self._known[digest] = known
        return known

    def remember(self, snapshots: Iterable[Bodies]) -> None:
        """This node has these snapshots now, and no others."""
        digests = {digest for bodies in snapshots for digest in bodies}
        self._known = {digest: body for digest, body in self._known.items() if digest in digests}

    async def let_go_but(self, snapshots: Iterable[Bodies]) -> None:
        """Removes the bodies of all others that this node knows from the store."""
        kept = [*snapshots]
        self.remember(kept)
        await self._stored.let_go_but({digest for bodies in kept for digest in bodies if digest is not None})

    async def _digest(self, body: bytes | None) -> str | None:
        if body is None:
            return None
        for digest, known in self._known.items():
            if known is body:
                return digest
        if len(body) <= _OFFLOAD_BYTES:
            return _digest_of(body)
        return await asyncio.to_thread(_digest_of, body)


def _digest_of(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
