"""The streams that are told who is in which channel: what changed in a window is one frame a type."""

from collections.abc import Iterable, Iterator
from functools import partial

from gateway.delivery.budget import Budget
from gateway.delivery.counters import Work
from gateway.delivery.presence.fan_out import FanOut
from gateway.delivery.presence.roster import Roster
from gateway.delivery.presence.view import View
from gateway.delivery.subscriber import State, Subscriber
from gateway.runtime.failures import Failures


class _Channel:
    """`readers` know what `view` has told; those that `await_sync` are to be told all of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.view = View(name)
        self.readers: dict[Subscriber, None] = {}
        self.await_sync: dict[Subscriber, None] = {}

    def miss(self, subscriber: Subscriber) -> None:
        """It does not know all that the others do: it begins anew, once it reads again."""
        if subscriber in self.readers:
            del self.readers[subscriber]
            self.await_sync[subscriber] = None

    def begin_anew(self, users: Iterable[str]) -> None:
        """Whatever its readers were told, all of them are to be told who is there now."""
        self.await_sync |= self.readers
        self.readers.clear()
        self.view = View(self.name)
        for user in users:
            self.view.touch(user)


class PresenceReaders:
    """The channels that somebody on this node reads.

    A reader first gets `sync`, with all who are there, and then what changes. There is no queue for any: one
    that missed something, for it did not read, gets a `sync` again as soon as it does.
    """

    def __init__(self, roster: Roster, fan_out: FanOut, budget: Budget, failures: Failures[Work]) -> None:
        self._roster = roster
        self._fan_out = fan_out
        self._budget = budget
        self._failures = failures
        self._channels: dict[str, _Channel] = {}
        self._due: dict[str, None] = {}
        self.frames = 0
        """How many were written to streams."""

    def __len__(self) -> int:
        return len(self._channels)

    @property
    def is_due(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._due)

    def add(self, subscriber: Subscriber, name: str) -> None:
        """A new stream, which reads the channel."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(name)
            channel.begin_anew(self._roster.users(name))
        channel.await_sync[subscriber] = None
        self._due[name] = None

    def remove(self, subscriber: Subscriber, name: str) -> None:
        """Its connection is over."""
        channel = self._channels[name]
        channel.readers.pop(subscriber, None)
        channel.await_sync.pop(subscriber, None)
        if not channel.readers and not channel.await_sync:
            del self._channels[name]

    def reads(self, subscriber: Subscriber, name: str) -> None:
        """The stream is live now, and can be told what it missed."""
        if subscriber in self._channels[name].await_sync:
            self._due[name] = None

    def touch(self, name: str, user: str) -> None:
        """Something of the user may be different now."""
        channel = self._channels.get(name)
        if channel is not None:
            channel.view.touch(user)
            self._due[name] = None

    def tell(self) -> Iterator[None]:
        """Tells the readers of all channels what has changed by now."""
        due, self._due = self._due, {}
        for name in due:
            channel = self._channels.get(name)
            if channel is None:
                continue
            try:
                yield from self._tell(channel)
            except Exception as error:  # noqa: BLE001 - whatever it was, the other channels' readers are told
                self._failures.report("presence", error)
                channel.begin_anew(self._roster.users(name))
            if channel.view.is_due:
                self._due[name] = None

    def _tell(self, channel: _Channel) -> Iterator[None]:
        frames: list[bytes] = []
        for _ in channel.view.step(partial(self._meta, channel.name), frames):
            if self._budget.spend():
                yield
        if frames and channel.readers:
            readers = tuple(channel.readers)
            yield from self._fan_out.write(
                b"".join(frames), readers, channel.miss, partial(self._count, len(frames))
            )
        waiting = [subscriber for subscriber in channel.await_sync if subscriber.state is State.LIVE]
        if waiting:
            for subscriber in waiting:
                del channel.await_sync[subscriber]
                channel.readers[subscriber] = None
            sync, count = channel.view.sync(), partial(self._count, 1)
            yield from self._fan_out.write(sync, waiting, channel.miss, count, compressed=False)

    def _meta(self, channel: str, user: str) -> bytes | None:
        there = self._roster.users(channel).get(user)
        return None if there is None else there.meta

    def _count(self, frames: int) -> None:
        self.frames += frames
