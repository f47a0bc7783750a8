"""What a hub tells of its streams, to whoever keeps figures of them."""

from collections.abc import Sequence
from typing import Protocol

from gateway.core.history import HistoryEntry
from gateway.delivery.subscriber import Subscriber


class Observer(Protocol):
    """The hub calls within its turns: no method may wait, or touch the hub. One that raises is reported.

    Nothing is told of single deliveries.
    """

    def attached(self, subscriber: Subscriber) -> None:
        """A stream was opened. Nothing has been written to it by the hub."""

    def moved(self, subscriber: Subscriber, before: object) -> None:
        """What a stream gets has changed; `before` is what it was attached or last moved with."""

    def lost(self, subscriber: Subscriber) -> None:
        """A stream is told that what its client lacks is not to be had any more: `reset`."""

    def ended(self, subscriber: Subscriber) -> None:
        """A stream's connection is over. Told once for each that was attached."""

    def flushed(self, entries: Sequence[HistoryEntry]) -> None:
        """A flush of these entries, the oldest first, has been written to the streams."""


class Unobserved:
    """An Observer for a hub of whose streams nobody keeps figures."""

    def attached(self, subscriber: Subscriber) -> None:
        pass

    def moved(self, subscriber: Subscriber, before: object) -> None:
        pass

    def lost(self, subscriber: Subscriber) -> None:
        pass

    def ended(self, subscriber: Subscriber) -> None:
        pass

    def flushed(self, entries: Sequence[HistoryEntry]) -> None:
        pass


class Observers:
    """Tells several. Where one raises, those after it are not told."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        # Thousands attach at once: who does not want to know is not told.
        self._attached = [one.attached for one in observers if type(one).attached is not Unobserved.attached]

    def attached(self, subscriber: Subscriber) -> None:
        for tell in self._attached:
            tell(subscriber)

    def moved(self, subscriber: Subscriber, before: object) -> None:
        for observer in self._observers:
            observer.moved(subscriber, before)

    def lost(self, subscriber: Subscriber) -> None:
        for observer in self._observers:
            observer.lost(subscriber)

    def ended(self, subscriber: Subscriber) -> None:
        for observer in self._observers:
            observer.ended(subscriber)

    def flushed(self, entries: Sequence[HistoryEntry]) -> None:
        for observer in self._observers:
            observer.flushed(entries)
