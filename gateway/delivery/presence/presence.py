"""Presence and broadcast of one node, for its streams, its handlers and the other nodes."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.core import control_frames
from gateway.delivery.budget import Budget
from gateway.delivery.counters import Work
from gateway.delivery.pace import Pace
from gateway.delivery.presence.attendance import Attendance
from gateway.delivery.presence.broadcasting import Broadcasting
from gateway.delivery.presence.fan_out import FanOut
from gateway.delivery.presence.kept_meta import KeptMeta
from gateway.delivery.presence.nodes import Nodes
from gateway.delivery.presence.readers import PresenceReaders
from gateway.delivery.presence.roster import Present, Roster
from gateway.delivery.presence.table import Key
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import Subscriber
from gateway.ports.clock import Clock, Scheduler
from gateway.ports.node_messages import NodeTopic
from gateway.runtime.alarm import Alarm

_NODE_BYTES = 8
MAX_CHANNEL_BYTES = 4_194_304
"""What the users of one channel, with their meta, may take: all of it is one frame for a new reader."""


class PresenceHub:
    """Who is in which channel, and what is said there. The hub calls it within its turns.

    Changes of presence are told once in a window; `add_job` has that done between flushes. `messages` go to
    the other nodes of the log; None where there are none.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        clock: Clock,
        streams: Streams,
        budget: Budget,
        pace: Pace,
        heartbeat_seconds: float,
        add_job: Callable[[Work, Iterator[None]], None],
        messages: NodeTopic | None,
    ) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._add_job = add_job
        self._window_seconds = pace.presence_window_seconds
        self.roster = Roster(self._changed, self._own_changed)
        fan_out = FanOut(streams, budget, pace)
        self.readers = PresenceReaders(self.roster, fan_out, budget, streams.failures)
        self.broadcasting = Broadcasting(fan_out, streams.failures, pace)
        self._kept = KeptMeta(scheduler, 2 * heartbeat_seconds, self.roster.forget)
        self.nodes = None
        """The other nodes; None where there can be none."""
        if messages is not None:
            self.nodes = Nodes(
                *(messages, self.roster, scheduler, secrets.token_hex(_NODE_BYTES)),
                *(self._window_seconds, heartbeat_seconds),
                self._hear,
                lambda work: add_job("presence", work),
            )
        self._there: dict[Subscriber, Attendance] = {}
        self._alarm = Alarm(scheduler, self._begin_telling)
        self._is_telling = self._is_giving = False

    def stop(self) -> None:
        """Ends its timers."""
        self._alarm.cancel()
        self._kept.stop()
        if self.nodes is not None:
            self.nodes.stop()

    def attend(self, subscriber: Subscriber, attendance: Attendance) -> None:
        """A new stream is for these channels. It is to be told who is there once it is live."""
        self._there[subscriber] = attendance
        for channel in attendance.presence:
            self.readers.add(subscriber, channel)
            key = Key(channel, attendance.user)
            self._kept.drop(key)
            self.roster.join(key)
        for channel in attendance.channels:
            self.broadcasting.add(subscriber, channel)
        self._plan()

    @property
    def is_attended(self) -> bool:
        """Whether any stream is in a channel."""
        return bool(self._there)

    def is_live(self, subscriber: Subscriber) -> None:
        """A stream has caught up: it can be told what it missed."""
        attendance = self._there.get(subscriber)
        if attendance is not None:
            for channel in attendance.presence:
                self.readers.reads(subscriber, channel)
            self._plan()

    def gone(self, subscriber: Subscriber) -> None:
        """The connection of a stream, of any, is over."""
        attendance = self._there.pop(subscriber, None)
        if attendance is None:
            return
        for channel in attendance.presence:
            self.readers.remove(subscriber, channel)
            key = Key(channel, attendance.user)
            if self.roster.leave(key):
                self._kept.keep(key)
        for channel in attendance.channels:
            self.broadcasting.remove(subscriber, channel)

    def attendance_of(self, subscriber: Subscriber) -> Attendance | None:
        """The channels that the stream is for; None where it is for none."""
        return self._there.get(subscriber)

    @property
    def own_users(self) -> int:
        """How many users are in channels by streams of this node, each counted in each."""
        return len(self.roster.own) - len(self._kept)

    def users(self, channel: str) -> Mapping[str, Present]:
        """Who is in the channel now; not to be kept."""
        return self.roster.users(channel)

    def has_room(self, attendance: Attendance) -> bool:
        """Whether its user may join its channels."""
        return all(
            self.roster.size_bytes(channel) < MAX_CHANNEL_BYTES
            or attendance.user in self.roster.users(channel)
            for channel in attendance.presence
        )

    def set_meta(self, channel: str, user: str, meta: bytes) -> bool:
        """What others are to see of the user from now on, a JSON object; says whether there was room for it.

        Where the user is not there it is kept for two heartbeats.
        """
        size = self.roster.size_bytes(channel)
        if size + len(meta) > MAX_CHANNEL_BYTES:
            return False
        key = Key(channel, user)
        self.roster.set_meta(key, meta, self._clock.wall_ms())
        if not self.roster.is_connected(key):
            self._kept.keep(key)
        return True

    def broadcast(self, channel: str, event: str, payload: Mapping[str, Any], sender: str) -> bool:
        """Says something to the readers of a channel, on all nodes; says whether there was room for it."""
        if not self._hear(channel, event, payload, sender):
            return False
        if self.nodes is not None:
            self.nodes.say(channel, event, payload, sender)
        return True

    def _hear(self, channel: str, event: str, payload: Mapping[str, Any], sender: str) -> bool:
        if not self.broadcasting.take(channel, control_frames.broadcast(channel, event, payload, sender)):
            return False
        self._begin_giving()
        return True

    def _changed(self, key: Key) -> None:
        self.readers.touch(key.channel, key.user)
        self._plan()

    def _own_changed(self, key: Key) -> None:
        if self.nodes is not None:
            self.nodes.own_changed(key)

    def _plan(self) -> None:
        if self.readers.is_due and not self._is_telling:
            self._alarm.set(self._scheduler.time() + self._window_seconds)

    def _begin_telling(self) -> None:
        self._is_telling = True
        self._add_job("presence", self._tell())

    def _tell(self) -> Iterator[None]:
        try:
            yield from self.readers.tell()
        finally:
            self._is_telling = False
            self._plan()

    def _begin_giving(self) -> None:
        if self.broadcasting.is_due and not self._is_giving:
            self._is_giving = True
            self._add_job("broadcast", self._give())

    def _give(self) -> Iterator[None]:
        try:
            yield from self.broadcasting.give()
        finally:
            self._is_giving = False
            self._begin_giving()
