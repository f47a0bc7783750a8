"""Work for all live members that failed midway: each goes back to the catch-up, from its own number.

Who was written to and who was not is then known of each member alone: by its number. So each goes on from
there by itself, as one does that reads again after a pause, and nobody misses anything or gets it twice.
"""

from collections.abc import Iterator

from gateway.delivery.budget import Budget
from gateway.delivery.group import Group
from gateway.delivery.live import Flushes
from gateway.delivery.replay.from_history import CatchUp
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import Signal, State, Subscriber


class Recovery:
    """Sends live members back to the catch-up; one for which even that fails is cut off."""

    def __init__(self, streams: Streams, flushes: Flushes, catch_up: CatchUp, budget: Budget) -> None:
        self._streams = streams
        self._flushes = flushes
        self._catch_up = catch_up
        self._budget = budget

    def drop_flush(self) -> Iterator[None]:
        """Ends a flush that failed. Each member catches up with what it did not write."""
        for group in tuple(self._streams.groups):
            yield from self.send_back(group)
        self._flushes.drop()

    def send_back(self, group: Group) -> Iterator[None]:
        """Every member goes on by itself, with the hints that are pending or were on their way to it."""
        for subscriber in tuple(group.members):
            if subscriber.state is State.LIVE:
                self._streams.safely("recovery", self._send_back, subscriber)
                if self._budget.spend():
                    yield
        group.drop_hints()

    def _send_back(self, subscriber: Subscriber) -> None:
        self._flushes.leave(subscriber)
        subscriber.signal(Signal.MOVED)
        self._catch_up.add(subscriber)
