"""Who notes everything that a hub tells of its streams."""

from collections.abc import Sequence
from typing import Any

from gateway.core.history import HistoryEntry
from gateway.delivery.subscriber import Subscriber


class NotingObserver:
    """`told` are the name and the argument of every call, in order; entries stand as their positions.

    `failure`, where there is one, is raised by every call once it is noted.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.failure: Exception | None = None

    def of(self, name: str) -> list[Any]:
        """What was told by calls of that name."""
        return [argument for called, argument in self.told if called == name]

    def attached(self, subscriber: Subscriber) -> None:
        self._note("attached", subscriber)

    def moved(self, subscriber: Subscriber, before: object) -> None:
        self._note("moved", (subscriber, before, subscriber.asked))

    def ended(self, subscriber: Subscriber) -> None:
        self._note("ended", subscriber)

    def lost(self, subscriber: Subscriber) -> None:
        self._note("lost", subscriber)

    def flushed(self, entries: Sequence[HistoryEntry]) -> None:
        self._note("flushed", [entry.position.major for entry in entries])

    def _note(self, name: str, argument: Any) -> None:
        self.told.append((name, argument))
        if self.failure is not None:
            raise self.failure
