"""Who is in which channel, on all nodes: what this node knows itself, and what others said last. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gateway.delivery.presence.table import BUCKETS, NOTHING, Entry, Key, Table

_NO_DIGESTS = (0,) * BUCKETS
_FRAMING_BYTES = 12
"""What stands around a user's name and meta in a frame."""


class Present(NamedTuple):
    """A user who is in a channel, with connections to any node."""

    connections: int
    meta: bytes


class Roster:
    """`changed` is called with each user of a channel of whom something is different now, on any node;
    `own_changed` with each of whom this node has to tell the others something."""

    def __init__(self, changed: Callable[[Key], None], own_changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self._own_changed = own_changed
        self.own = Table()
        self.others: dict[str, Table] = {}
        self._channels: dict[str, dict[str, Present]] = {}
        self._sizes: dict[str, int] = {}

    def users(self, channel: str) -> Mapping[str, Present]:
        """Who is in the channel, as it is now; not to be kept."""
        return self._channels.get(channel, {})

    def size_bytes(self, channel: str) -> int:
        """About how many bytes it takes to tell who is in the channel."""
        return self._sizes.get(channel, 0)

    def join(self, key: Key) -> None:
        """The user has one connection to this node more."""
        entry = self.own.get(key)
        newest = self._newest(key)
        self._put_own(key, Entry(entry.connections + 1, newest.version, newest.meta))

    def leave(self, key: Key) -> bool:
        """The user has one connection to this node fewer.

        Says whether it was the last, and there is meta that is kept until `forget`.
        """
        entry = self.own.get(key)
        left = entry._replace(connections=entry.connections - 1)
        self._put_own(key, left)
        return not left.connections and left != NOTHING

    def set_meta(self, key: Key, meta: bytes, now_ms: int) -> None:
        """What others are to see of the user from now on, whether it is there or not."""
        version = max(now_ms, self._newest(key).version + 1)
        self._put_own(key, Entry(self.own.get(key).connections, version, meta))

    def forget(self, key: Key) -> None:
        """Drops the meta of a user who is not connected to this node."""
        if not self.own.get(key).connections:
            self._put_own(key, NOTHING)

    def is_connected(self, key: Key) -> bool:
        """Whether the user is connected to this node."""
        return self.own.get(key).connections > 0

    def said(self, node: str, key: Key, entry: Entry) -> None:
        """Another node's entry is this now."""
        table = self.others.get(node)
        if table is None:
            table = self.others[node] = Table()
        if not table.put(key, entry):
            return
        own = self.own.get(key)
        if own.connections and (entry.version, entry.meta) > (own.version, own.meta):
            # It may have been set at a node that forgets it sooner than the user leaves this one.
            self.own.put(key, own._replace(version=entry.version, meta=entry.meta))
            self._own_changed(key)
        self._look_at(key)

    def replace(self, node: str, bucket: int, entries: Mapping[Key, Entry]) -> None:
        """These are all entries that another node has in a bucket."""
        table = self.others.get(node)
        if table is not None:
            for key, _ in table.bucket(bucket):
                if key not in entries:
                    self.said(node, key, NOTHING)
        for key, entry in entries.items():
            self.said(node, key, entry)

    def digests_of(self, node: str) -> Sequence[int]:
        """What all that another node said comes to."""
        table = self.others.get(node)
        return _NO_DIGESTS if table is None else table.digests

    def forget_node(self, node: str) -> None:
        """Drops the table of another node, which has no entries any more."""
        table = self.others.get(node)
        if table is not None and not len(table):
            del self.others[node]

    def _put_own(self, key: Key, entry: Entry) -> None:
        if self.own.put(key, entry):
            self._own_changed(key)
            self._look_at(key)

    def _newest(self, key: Key) -> Entry:
        """The entry with the newest meta, on whichever node."""
        entries = [self.own.get(key), *(table.get(key) for table in self.others.values())]
        return max(entries, key=lambda entry: (entry.version, entry.meta))

    def _look_at(self, key: Key) -> None:
        connections = self.own.get(key).connections
        connections += sum(table.get(key).connections for table in self.others.values())
        users = self._channels.get(key.channel)
        before = None if users is None else users.get(key.user)
        after = Present(connections, self._newest(key).meta) if connections else None
        if before == after:
            return
        size = self._sizes.get(key.channel, 0) + _size(key, after) - _size(key, before)
        if after is not None:
            self._channels.setdefault(key.channel, {})[key.user] = after
        elif users is not None:
            del users[key.user]
            if not users:
                del self._channels[key.channel]
        if size:
            self._sizes[key.channel] = size
        else:
            del self._sizes[key.channel]
        self._changed(key)


def _size(key: Key, present: Present | None) -> int:
    return 0 if present is None else len(key.user.encode()) + len(present.meta) + _FRAMING_BYTES
