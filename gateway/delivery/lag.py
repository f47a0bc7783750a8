"""How far a stream is behind the head of the history."""

from typing import NamedTuple

from gateway.core.history import History
from gateway.delivery.subscriber import State, Subscriber


class Lag(NamedTuple):
    """The entries that were not written to a stream yet, matching or not, and how long ago the first came.

    `is_more` says that it is behind the history: those are the entries that this holds, and the log has more.
    """

    events: int
    seconds: float
    is_more: bool


def lag_of(subscriber: Subscriber, history: History, flushed: int, now: float) -> Lag:
    """The lag of an open stream. `flushed` is the hub's, `now` monotonic seconds."""
    number = flushed if subscriber.state is State.LIVE else subscriber.number
    is_more = number < history.floor
    number = max(number, history.floor)
    lacking = history.head - number
    if not lacking:
        return Lag(0, 0.0, is_more)
    [first] = history.entries_after(number, 1)
    return Lag(lacking, max(0.0, now - first.at), is_more)
