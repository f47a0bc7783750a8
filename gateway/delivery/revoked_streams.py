"""Ends the streams and long polls that a revocation covers, where it stands in the log.

Nothing after it is written to them: it is the last entry of its flush, and this work is done whole before the
next one begins. A stream that is not live then comes upon the revocation by itself, on its way to the head
(gateway/delivery/replay).
"""

from collections.abc import Iterator

from gateway.core.revocations import Revocations
from gateway.delivery.budget import Budget
from gateway.delivery.group import Groups
from gateway.delivery.live import Flushes
from gateway.delivery.replay.from_history import CatchUp
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import Signal, State, Subscriber


class RevokedStreams:
    """Makes the work that follows a flush; who runs it begins no flush meanwhile."""

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

    def end(self) -> Iterator[None]:
        """Ends whom the last flush's revocation covers; nothing where it had none."""
        if not self._flushes.has_revocation:
            return
        for subscriber in tuple(self._streams):
            if subscriber.state is State.LIVE and self._revocations.covers(subscriber.credentials):
                self._streams.safely("revoke", self._end, subscriber)
            if self._budget.spend():
                yield
        for long_poll in tuple(self._groups.long_polls):
            if self._revocations.covers(long_poll.credentials):
                long_poll.wake()
            if self._budget.spend():
                yield

    def _end(self, subscriber: Subscriber) -> None:
        """It has all that comes before; the catch-up gives it the hints of that, and says why it ends."""
        self._flushes.leave(subscriber)
        subscriber.signal(Signal.MOVED)
        self._catch_up.go_on(subscriber)
