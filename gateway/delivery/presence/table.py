"""What one node says of who is where: its entries, and a digest by which another copy of them is compared."""

import hashlib
import zlib
from typing import NamedTuple

BUCKETS = 64
"""Into so many parts entries are divided, by their keys: copies that differ are mended part by part."""

NO_META = b"{}"


class Key(NamedTuple):
    """A user in a channel."""

    channel: str
    user: str

    @property
    def bucket(self) -> int:
        """The same on every node, which Python's own hashes are not."""
        return zlib.crc32(f"{self.channel}\0{self.user}".encode()) % BUCKETS


class Entry(NamedTuple):
    """How many connections of a node a user has there, and what the node knows of the user's meta.

    `meta` is a JSON object. The highest `version` is the newest; 0 is that of who never set any.
    """

    connections: int = 0
    version: int = 0
    meta: bytes = NO_META


NOTHING = Entry()
"""What the absence of an entry says as well."""


class Table:
    """One node's entries. None of them is NOTHING."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._buckets: list[dict[Key, None]] = [{} for _ in range(BUCKETS)]
        self.digests = [0] * BUCKETS
        """Of each bucket. Equal ones have, but for a chance of one in 2**64, equal entries."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry:
        return self._entries.get(key, NOTHING)

    def put(self, key: Key, entry: Entry) -> bool:
        """Says whether that changes anything."""
        before = self._entries.get(key, NOTHING)
        if before == entry:
            return False
        number = key.bucket
        self.digests[number] ^= _digest(key, before) ^ _digest(key, entry)
        if entry == NOTHING:
            del self._entries[key], self._buckets[number][key]
        else:
            self._entries[key] = entry
            self._buckets[number][key] = None
        return True

    def bucket(self, number: int) -> list[tuple[Key, Entry]]:
        """The entries of a bucket."""
        return [(key, self._entries[key]) for key in self._buckets[number]]


def _digest(key: Key, entry: Entry) -> int:
    if entry == NOTHING:
        return 0
    return _hash(key.channel, key.user, str(entry.connections), str(entry.version), entry.meta.decode())


def _hash(*texts: str) -> int:
    # No text holds a NUL character.
    return int.from_bytes(hashlib.blake2b("\0".join(texts).encode(), digest_size=8).digest())
