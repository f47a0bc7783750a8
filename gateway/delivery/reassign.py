"""Moves open streams to what they are to receive from now on, and tells them so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.core.events import Position
from gateway.core.history import History
from gateway.core.selectors import Selector
from gateway.delivery.budget import Budget
from gateway.delivery.group import Group
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.live import Flushes
from gateway.delivery.replay.from_history import CatchUp
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import Signal, State, Subscriber


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a subscriber that gets its events otherwise than before.

    `selector` is what it receives from now on, `asked` what it remembers; `tell(cursor)` makes the frames
    that say so, for a reader that has everything up to `cursor`. With `ends` nothing is left for it.
    """

    selector: Selector
    asked: object
    tell: Callable[[str], bytes]
    ends: bool


Review = Callable[[Any], Change | None]
"""What has changed for a subscriber that remembers this `asked`; None where nothing has."""


class Reassignments:
    """Makes the work of one review; who runs it does so between two flushes.

    What a live subscriber has is then one number, from which it goes on otherwise.
    """

    def __init__(
        self,
        history: History,
        streams: Streams,
        hint_schedule: HintSchedule,
        flushes: Flushes,
        catch_up: CatchUp,
        budget: Budget,
    ) -> None:
        self._history = history
        self._streams = streams
        self._hint_schedule = hint_schedule
        self._flushes = flushes
        self._catch_up = catch_up
        self._budget = budget

    def run(self, review: Review) -> Iterator[None]:
        """Asks of every stream that is open whether it is to receive something else, and sees to it."""
        for subscriber in tuple(self._streams):
            if subscriber.state is State.CLOSED or subscriber.asked is None:
                continue
            # One that is cut off asks anew what it is to receive, and comes back with its cursor.
            self._streams.safely("review", partial(self._review, review), subscriber)
            if self._budget.spend():
                yield

    def _review(self, review: Review, subscriber: Subscriber) -> None:
        change = review(subscriber.asked)
        if change is not None:
            self._apply(subscriber, change)

    def _apply(self, subscriber: Subscriber, change: Change) -> None:
        before, subscriber.asked = subscriber.asked, change.asked
        self._streams.observer.moved(subscriber, before)
        self._streams.counters.moved += 1
        was_live = subscriber.state is State.LIVE
        if was_live:
            self._flushes.leave(subscriber)
            subscriber.signal(Signal.MOVED)
        group: Group = subscriber.group
        first: list[bytes] = []
        if subscriber.number >= self._history.floor:
            # The cursor says that it had the hints of all before it: those that it is owed come first. One
            # that fell off the history has no cursor that a hint could carry, and is to refetch everything.
            first = self._catch_up.owed_hints(subscriber)
            subscriber.told = max(subscriber.told, subscriber.number)
            cursor = self._history.cursor(subscriber.number)
        else:
            position = self._catch_up.behind.get(subscriber, subscriber.position)
            if isinstance(position, Position):
                cursor = self._cursor_behind(subscriber, position)
            else:
                # No cursor leads on from where it is: the `reset` that is to come comes before.
                first = [self._catch_up.give_up_gap(subscriber)]
                subscriber.position = self._history.head_position
                cursor = self._history.cursor(subscriber.number)
        told = change.tell(cursor)
        self._streams.move(subscriber, change.selector)
        self._streams.write(subscriber, group.framed(b"".join(first)) + group.framed_apart(told))
        if change.ends:
            self._streams.bye(subscriber, "disconnected", reconnect=False)
        elif was_live and subscriber.state is State.CATCHING_UP:
            self._catch_up.go_on(subscriber)

    def _cursor_behind(self, subscriber: Subscriber, position: Position) -> str:
        """The cursor up to which a subscriber that is behind the history has everything, its hints too."""
        if subscriber.group.delivery.hints == "only":
            # What it is owed was counted by the choice of before: it is counted anew.
            self._hint_schedule.settle(subscriber)
            subscriber.position = position
        return self._history.cursor_at(position)
