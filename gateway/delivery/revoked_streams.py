"""Ends the streams and long polls that a revocation covers, where it stands in the log.

Before a flush that has one, every live stream that it covers is sent back to the catch-up, which gives it
what comes before, and no more (gateway/delivery/replay). So nothing after it is flushed to them. Others have
a flush as it always was, however many revocations are in it.
"""

from collections.abc import Iterator, Sequence

from gateway.core.events import REVOCATION
from gateway.core.history import HistoryEntry
from gateway.core.revocations import Revocations
from gateway.delivery.budget import Budget
from gateway.delivery.group import Groups
from gateway.delivery.live import Flushes
from gateway.delivery.replay.from_history import CatchUp
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import Signal, State, Subscriber


class RevokedStreams:
    """Makes the work that comes before a flush of certain entries; who runs it does so whole."""

    def __init__(
        self,
        revocations: Revocations,
        groups: Groups,
        streams: Streams,
        flushes: Flushes,
        catch_up: CatchUp,
        budget: Budget,
    ) -> None:
        self._revocations = revocations
        self._groups = groups
        self._streams = streams
        self._flushes = flushes
        self._catch_up = catch_up
        self._budget = budget

    def end_before(self, entries: Sequence[HistoryEntry]) -> Iterator[None]:
        """Ends whom revocations among these entries cover, which no flush has brought yet."""
        for entry in entries:
            if entry.event.event_type == REVOCATION:
                break
        else:
            return
        for subscriber in tuple(self._streams):
            if self._is_to_end(subscriber) and self._revocations.covers(subscriber.credentials):
                self._streams.safely("revoke", self._end, subscriber)
            if self._budget.spend():
                yield
        for long_poll in tuple(self._groups.long_polls):
            if self._revocations.covers(long_poll.credentials):
                long_poll.wake()
            if self._budget.spend():
                yield

    @staticmethod
    def _is_to_end(subscriber: Subscriber) -> bool:
        """Whether it may not come to the revocation by itself: it is live, or waits for its state."""
        if subscriber.state is State.LIVE:
            return True
        is_owed = subscriber.reading is not None and subscriber.reading.is_owed
        return is_owed and subscriber.state is State.CATCHING_UP

    def _end(self, subscriber: Subscriber) -> None:
        """The catch-up gives it what it lacks of what comes before, hints too, and says why it ends."""
        if subscriber.state is State.LIVE:
            self._flushes.leave(subscriber)
            subscriber.signal(Signal.MOVED)
        self._catch_up.go_on(subscriber)
