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
from gateway.delivery.state.question import StateQuestion
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import NOWHERE, Signal, State, Subscriber


@dataclass(frozen=True, slots=True)
class Reassignment:
    """What becomes of a subscriber that gets its events otherwise than before.

    `selector` is what it receives from now on, `asked` what it remembers; `tell(cursor)` makes the frames
    that say so, for a reader that has everything up to `cursor`. With `ends` nothing is left for it.
    `question` is the state that it begins with where it has to begin anew; None where there is none.
    """

    selector: Selector
    asked: object
    tell: Callable[[str], bytes]
    ends: bool
    question: StateQuestion | None = None


ReassignmentFor = Callable[[Any], Reassignment | None]
"""What a subscriber that remembers this `asked` is to get from now on; None where nothing has changed."""


class Reassignments:
    """Makes the work of one change of the flags; who runs it does so between two flushes.

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

    def run(self, reassignment_for: ReassignmentFor) -> Iterator[None]:
        """Asks of every stream that is open whether it is to receive something else, and sees to it."""
        for subscriber in tuple(self._streams):
            if subscriber.state is State.CLOSED or subscriber.asked is None:
                continue
            # One that is cut off asks anew what it is to receive, and comes back with its cursor.
            self._streams.safely("review", partial(self._reassign, reassignment_for), subscriber)
            if self._budget.spend():
                yield

    def _reassign(self, reassignment_for: ReassignmentFor, subscriber: Subscriber) -> None:
        reassignment = reassignment_for(subscriber.asked)
        if reassignment is not None:
            self._apply(subscriber, reassignment)

    def _apply(self, subscriber: Subscriber, reassignment: Reassignment) -> None:
        before, subscriber.asked = subscriber.asked, reassignment.asked
        self._streams.observer.moved(subscriber, before)
        self._streams.counters.moved += 1
        was_live = subscriber.state is State.LIVE
        if was_live:
            self._flushes.leave(subscriber)
            subscriber.signal(Signal.MOVED)
        is_owed = subscriber.reading is not None and subscriber.reading.is_owed
        # What is owed of another selection's state is of no use: then it begins anew.
        self._catch_up.change_state(subscriber, None if reassignment.ends else reassignment.question)
        group: Group = subscriber.group
        first: list[bytes] = []
        if subscriber.number >= self._history.floor:
            # The cursor says that it had the hints of all before it: those that are pending come first. One
            # that fell off the history has no cursor that a hint could carry, and is to refetch everything.
            first = self._catch_up.pending_hints(subscriber)
            subscriber.last_sent = max(subscriber.last_sent, subscriber.number)
            cursor = self._history.cursor(subscriber.number, group.scope)
        else:
            position = self._catch_up.behind.get(subscriber, subscriber.position)
            if isinstance(position, Position):
                cursor = self._cursor_behind(subscriber, position)
            else:
                # No cursor leads on from where it is: the `reset` that is to come comes before.
                first = [self._catch_up.skip_gap(subscriber)]
                if subscriber.number != NOWHERE:
                    subscriber.position = self._history.head_position
                cursor = self._history.cursor(self._history.head, group.scope)
        own_words = reassignment.tell(cursor)
        self._streams.move(subscriber, reassignment.selector)
        self._streams.write(subscriber, group.framed(b"".join(first)) + group.framed_apart(own_words))
        if reassignment.ends:
            self._streams.bye(subscriber, "disconnected", reconnect=False)
        elif subscriber.state is State.CATCHING_UP and (was_live or is_owed):
            self._catch_up.go_on(subscriber)

    def _cursor_behind(self, subscriber: Subscriber, position: Position) -> str:
        """The cursor up to which a subscriber that is behind the history has everything, its hints too."""
        group: Group = subscriber.group
        if group.delivery.hints == "only":
            # Its pending hints were counted by the choice of before: they are counted anew.
            self._hint_schedule.take_pending(subscriber)
            subscriber.position = position
        return self._history.cursor_at(position, group.scope)
