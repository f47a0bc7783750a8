"""What this node tells the others of its channels, and takes from them (node_message.py).

Messages may be lost. So each node says every now and then what all it told so far comes to, and whoever has
something else asks for that anew. One that is silent for too long is gone, and so are its users.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.delivery.presence.node_message import (
    Asked,
    Changed,
    Digests,
    Ended,
    Entries,
    Envelope,
    MalformedMessage,
    Message,
    Part,
    Said,
    in_messages,
    read,
    write,
)
from gateway.delivery.presence.roster import Roster
from gateway.delivery.presence.table import BUCKETS, Key
from gateway.ports.clock import Scheduler
from gateway.ports.node_messages import NodeTopic
from gateway.runtime.alarm import Alarm

DIGESTS_A_HEARTBEAT = 4
LOST_AFTER_HEARTBEATS = 1.5
"""How long a node may be silent. With the next look at it that is less than two heartbeats."""
MOST_NODES = 1024
_ENTRIES_AT_ONCE = 256


@dataclass(slots=True)
class _Node:
    """What is known of another node: the last serial number, when that came, and the bucket that comes."""

    serial: int
    heard_at: float
    coming: tuple[Part, ...] = ()


class Nodes:
    """This node, which the others know as `node`, among them.

    `hear` is called with what is broadcast there, `drop` makes work of what a node that is gone leaves
    behind. Belongs to one event loop, and does a bounded amount at a time.
    """

    def __init__(
        self,
        messages: NodeTopic,
        roster: Roster,
        scheduler: Scheduler,
        node: str,
        window_seconds: float,
        heartbeat_seconds: float,
        hear: Callable[[str, str, Mapping[str, Any], str], object],
        drop: Callable[[Iterator[None]], None],
    ) -> None:
        self._messages = messages
        self._roster = roster
        self._scheduler = scheduler
        self._node = node
        self._window_seconds = window_seconds
        self._beat_seconds = heartbeat_seconds / DIGESTS_A_HEARTBEAT
        self._lost_seconds = heartbeat_seconds * LOST_AFTER_HEARTBEATS
        self._hear = hear
        self._drop = drop
        self._serial = 0
        self._known: dict[str, _Node] = {}
        self._changed: dict[Key, None] = {}
        self._asked: dict[int, None] = {}
        self._digests_are_due = self._has_ended = False
        self._telling = Alarm(scheduler, self._tell_some)
        self._beating = Alarm(scheduler, self._beat)
        self.ignored = 0
        """How many messages were none of this version."""

    def __len__(self) -> int:
        """How many others there are."""
        return len(self._known)

    def start(self) -> None:
        """Asks who is there. What was told before is told now."""
        self._send(Asked("", []))
        self._beat()

    def end(self) -> None:
        """Says that its users are gone, and nothing more; nor is anything heard."""
        self._send(Ended())
        self._has_ended = True
        self.stop()

    def stop(self) -> None:
        """Ends its timers."""
        self._telling.cancel()
        self._beating.cancel()

    def own_changed(self, key: Key) -> None:
        """This node has another entry of that key now: the others are told with what else changes now."""
        if self._has_ended:
            return
        self._changed[key] = None
        self._telling.set(self._scheduler.time() + self._window_seconds)

    def say(self, channel: str, event: str, payload: Mapping[str, Any], sender: str) -> None:
        """Tells the others what is broadcast."""
        self._send(Said(channel, event, dict(payload), sender))

    def heard(self, raw: bytes) -> None:
        """A message of another node has come."""
        if self._has_ended:
            return
        try:
            node, serial, message = read(raw)
        except MalformedMessage:
            self.ignored += 1
            return
        now = self._scheduler.time()
        known = self._known.get(node)
        if known is None:
            if len(self._known) >= MOST_NODES:
                self.ignored += 1
                return
            known = self._known[node] = _Node(serial, now)
        elif serial <= known.serial:
            return  # it came twice, or was overtaken: then it is lost
        known.serial, known.heard_at = serial, now
        self._take(node, known, message)

    def _take(self, node: str, known: _Node, message: Message) -> None:
        match message:
            case Changed(entries):
                for key, entry in entries:
                    self._roster.said(node, key, entry)
            case Digests(digests):
                self._compare(node, digests)
            case Asked(asked, buckets):
                self._answer(asked, buckets)
            case Part():
                self._collect(node, known, message)
            case Said(channel, event, payload, sender):
                self._hear(channel, event, payload, sender)
            case Ended():
                self._lose(node)

    def _compare(self, node: str, digests: Sequence[int]) -> None:
        mine = self._roster.digests_of(node)
        differing = [number for number in range(BUCKETS) if mine[number] != digests[number]]
        if differing:
            self._send(Asked(node, differing))

    def _answer(self, asked: str, buckets: Sequence[int]) -> None:
        if asked == "":
            self._digests_are_due = True
        elif asked == self._node:
            self._asked |= dict.fromkeys(buckets)
        else:
            return
        # Several may ask for the same.
        self._telling.set(self._scheduler.time() + self._window_seconds)

    def _collect(self, node: str, known: _Node, part: Part) -> None:
        if part.number == 0:
            known.coming = ()
        elif len(known.coming) != part.number or known.coming[-1].bucket != part.bucket:
            known.coming = ()
            return  # one before it was lost: its digest will tell
        known.coming += (part,)
        if len(known.coming) == part.parts:
            entries = {key: entry for each in known.coming for key, entry in each.entries}
            known.coming = ()
            self._roster.replace(node, part.bucket, entries)

    def _beat(self) -> None:
        """Says what all that it told comes to, and looks who is silent."""
        now = self._scheduler.time()
        self._beating.set(now + self._beat_seconds)
        for node, known in [*self._known.items()]:
            if now - known.heard_at > self._lost_seconds:
                self._lose(node)
        self._digests_are_due = True
        self._tell_some()

    def _lose(self, node: str) -> None:
        del self._known[node]
        self._drop(self._forget(node))

    def _forget(self, node: str) -> Iterator[None]:
        for number in range(BUCKETS):
            if node in self._known:
                return  # it was heard again, and will be compared
            self._roster.replace(node, number, {})
            yield
        self._roster.forget_node(node)

    def _tell_some(self) -> None:
        """Tells of some changes, and once there are none left, what it was asked for."""
        if self._changed:
            few = [*self._changed][:_ENTRIES_AT_ONCE]
            for key in few:
                del self._changed[key]
            for entries in in_messages([(key, self._roster.own.get(key)) for key in few]):
                self._send(Changed(entries))
        elif self._asked:
            number = next(iter(self._asked))
            del self._asked[number]
            self._send_bucket(number)
        if self._digests_are_due and not self._changed and not self._asked:
            # Before that they would differ from what the others were told.
            self._digests_are_due = False
            self._send(Digests(self._roster.own.digests))
        if self._changed or self._asked:
            self._telling.set(self._scheduler.time())

    def _send_bucket(self, number: int) -> None:
        parts: list[Entries] = [*in_messages(self._roster.own.bucket(number))] or [()]
        for at, entries in enumerate(parts):
            self._send(Part(number, at, len(parts), entries))

    def _send(self, message: Message) -> None:
        self._serial += 1
        self._messages.send(write(Envelope(self._node, self._serial, message)))
