"""What becomes of live members when work that was for all of them fails in the middle.

Who was written to and who was not is then known of each member alone: by its number. So each goes on from
there by itself, as one does that reads again after a pause, and nobody misses anything or gets it twice.
"""

from collections.abc import Iterator

from gateway.delivery.budget import Budget
from gateway.delivery.group import Group
from gateway.delivery.live import Flushes
from gateway.delivery.replay.from_history import Chases
from gateway.delivery.streams import Roster
from gateway.delivery.subscriber import Signal, State, Subscriber


class Recovery:
    """Sends live members back to the chase; one for which even that fails is cut off."""

    def __init__(self, roster: Roster, flushes: Flushes, chases: Chases, budget: Budget) -> None:
        self._roster = roster
        self._flushes = flushes
        self._chases = chases
        self._budget = budget

    def give_up_flush(self) -> Iterator[None]:
        """Ends a flush that failed. What it did not write is chased."""
        for group in tuple(self._roster.groups):
            yield from self.send_back(group)
        self._flushes.give_up()

    def send_back(self, group: Group) -> Iterator[None]:
        """Every member goes on by itself, with the hints that are pending or were on their way to it."""
        for subscriber in tuple(group.members):
            if subscriber.state is State.LIVE:
                self._roster.safely("recovery", self._send_back, subscriber)
                if self._budget.spend():
                    yield
        group.drop_hints()

    def _send_back(self, subscriber: Subscriber) -> None:
        self._flushes.leave(subscriber)
        subscriber.signal(Signal.MOVED)
        self._chases.add(subscriber)
