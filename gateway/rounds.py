"""What all live members of a group are told alike between two flushes: hints and heartbeats.

Between flushes what they have is one number, so the cursors hold. What comes after is written by a flush: no
event may overtake a hint that is older than the longest wait, or a client that is cut off between the two
would never get it.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from gateway import control
from gateway.budget import Budget
from gateway.chases import Chases
from gateway.clock import Clock, rfc3339
from gateway.flushes import Flushes
from gateway.group import Group
from gateway.hints import Refresh
from gateway.history import History
from gateway.refresher import Refresher
from gateway.roster import Roster
from gateway.subscriber import State


class Rounds:
    """Makes the work of one round; who runs it does so between two flushes."""

    def __init__(
        self,
        history: History,
        clock: Clock,
        roster: Roster,
        refresher: Refresher,
        flushes: Flushes,
        chases: Chases,
        budget: Budget,
    ) -> None:
        self._history = history
        self._clock = clock
        self._roster = roster
        self._counters = roster.counters
        self._refresher = refresher
        self._flushes = flushes
        self._chases = chases
        self._budget = budget

    def hints(self, groups: Iterable[Group]) -> Iterator[None]:
        """Gives the members of these groups the hints that are due."""
        for group in groups:
            refreshes = self._refresher.take(group)
            if refreshes and group.members:
                self._counters.hints += len(refreshes) * len(group.members)
                yield from self._write_to_all(group, partial(self._hint_payload, group, refreshes))
            group.giving = []

    def _hint_payload(self, group: Group, refreshes: list[Refresh], number: int) -> bytes:
        least = number if number > self._flushes.safe_number(group) else 0
        frames = group.hint_frames(refreshes, number, self._history, len(group.members), least)
        return group.framed(b"".join(frames))

    def heartbeat(self) -> Iterator[None]:
        """Gives a heartbeat to every live member, and to whoever waits for the log."""
        timestamp = rfc3339(self._clock.wall_ms())
        for group in tuple(self._roster.groups):
            self._counters.heartbeats += len(group.members)
            yield from self._write_to_all(group, partial(self._heartbeat_payload, group, timestamp))
        behind = self._chases.behind
        for subscriber in tuple(behind):
            position = behind.get(subscriber)
            if position is not None and subscriber.state is State.CHASING:
                # It may wait long for its turn to read the log: a silent connection would be cut.
                beat = control.heartbeat(timestamp, self._history.cursor_at(position))
                self._counters.heartbeats += 1
                self._roster.write(subscriber, subscriber.group.framed(beat))
                if self._budget.spend():
                    yield
        # The history's age bound holds also where nothing is published.
        self._flushes.trim()

    def _heartbeat_payload(self, group: Group, timestamp: str, number: int) -> bytes:
        return group.framed(control.heartbeat(timestamp, self._flushes.cursor(group, number)))

    def _write_to_all(self, group: Group, payload: Callable[[int], bytes]) -> Iterator[None]:
        """Writes what `payload` makes for readers who have all up to the given entry.

        It is made again after a pause, when its cursor may be old, and for a member whom the group's cursor
        would set back.
        """
        number = self._flushes.safe_number(group)
        made = payload(number)
        for subscriber in tuple(group.members):
            if subscriber.state is State.LIVE:
                if subscriber.told <= number:
                    subscriber.told = number
                    self._roster.write(subscriber, made)
                else:
                    self._roster.write(subscriber, payload(subscriber.told))
                if self._budget.spend():
                    yield
                    number = self._flushes.safe_number(group)
                    made = payload(number)
