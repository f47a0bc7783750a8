"""What a hub tells of its streams, for whoever keeps figures of them."""

from collections.abc import Sequence

from gateway.core.history import HistoryEntry
from gateway.delivery.subscriber import Subscriber


class Observer:
    """Takes no notice of anything; figures are kept by those who override this.

    The hub calls within its turns: no method may wait, raise, or touch the hub. Nothing is told of single
    deliveries.
    """

    def attached(self, subscriber: Subscriber) -> None:
        """A stream was opened."""

    def moved(self, subscriber: Subscriber, before: object) -> None:
        """A review has changed what a stream gets; `before` is what it was attached or last moved with."""

    def ended(self, subscriber: Subscriber) -> None:
        """A stream's connection is over. Told once for each that was attached."""

    def flushed(self, entries: Sequence[HistoryEntry]) -> None:
        """A flush of these entries, the oldest first, has been written to the streams."""
