"""Heartbeats: a stream that nothing was written to for `heartbeat_seconds` gets one, with its cursor.

There is no timer for each. Every stream is looked at in turn, ROUNDS_A_BEAT times in `heartbeat_seconds`,
some at a time, and what is published meanwhile goes between them.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import ceil

from gateway.core import control_frames
from gateway.core.history import History
from gateway.core.times import rfc3339
from gateway.delivery.budget import Budget
from gateway.delivery.counters import Work
from gateway.delivery.group import Group
from gateway.delivery.live import Flushes
from gateway.delivery.pace import Pace
from gateway.delivery.replay.from_history import CatchUp
from gateway.delivery.streams import ROUNDS_A_BEAT, Streams
from gateway.delivery.subscriber import State, Subscriber
from gateway.ports.clock import Clock, Scheduler
from gateway.runtime.alarm import Alarm


class Heartbeats:
    """Looks at the open streams, round after round; `add_job` has a slice of a round done between flushes.

    A round is an eighth of `heartbeat_seconds`. A stream's own mark is one small number, the round of its
    last heartbeat. That it got an event since shows in its cursor: entries that are newer than a round's
    beginning were written after it.
    """

    def __init__(
        self,
        history: History,
        scheduler: Scheduler,
        clock: Clock,
        streams: Streams,
        flushes: Flushes,
        catch_up: CatchUp,
        budget: Budget,
        pace: Pace,
        heartbeat_seconds: float,
        add_job: Callable[[Work, Iterator[None]], None],
    ) -> None:
        self._history = history
        self._scheduler = scheduler
        self._clock = clock
        self._streams = streams
        self._flushes = flushes
        self._catch_up = catch_up
        self._budget = budget
        self._streams_a_slice = pace.streams_a_slice
        self._round_seconds = heartbeat_seconds / ROUNDS_A_BEAT
        self._add_job = add_job
        self._alarm = Alarm(scheduler, lambda: self._add_job("heartbeats", self._slice()))
        self._due = 0.0
        self._pause = self._round_seconds
        self._in_round: tuple[Subscriber, ...] = ()
        self._at = 0
        # What came after the oldest of these was written less than `heartbeat_seconds` before the next look.
        self._flushed: deque[int] = deque(maxlen=ROUNDS_A_BEAT - 1)

    def start(self) -> None:
        """The first round begins an eighth of the heartbeat from now."""
        self._due = self._scheduler.time() + self._round_seconds
        self._alarm.set(self._due)

    def stop(self) -> None:
        """No slice is asked for any more."""
        self._alarm.cancel()

    def _slice(self) -> Iterator[None]:
        try:
            if self._at >= len(self._in_round):
                self._begin_round()
        finally:
            self._plan_next()
        start, self._at = self._at, self._at + self._streams_a_slice
        number = self._streams.round
        timestamp = rfc3339(self._clock.wall_ms())
        made: dict[Group, tuple[int, bytes]] = {}
        for subscriber in self._in_round[start : self._at]:
            if number - subscriber.beat_round < ROUNDS_A_BEAT:
                continue
            if subscriber.state is State.LIVE:
                if subscriber.last_sent > self._flushed[0]:
                    continue
                self._beat(subscriber, timestamp, made)
            elif not self._beat_behind(subscriber, timestamp):
                continue
            subscriber.beat_round = number
            if self._budget.spend():
                yield
                made.clear()  # there may have been a flush

    def _begin_round(self) -> None:
        self._streams.round += 1
        self._flushed.append(self._flushes.flushed)
        self._in_round, self._at = tuple(self._streams), 0
        self._pause = self._round_seconds / max(1, ceil(len(self._in_round) / self._streams_a_slice))
        # The history's age bound holds also where nothing is published.
        self._flushes.trim()

    def _plan_next(self) -> None:
        # Where the loop was held up the slices follow one another more closely, until that is made up for; of
        # a longer pause, as that of a process that was stopped, a round at most.
        self._due = max(self._due + self._pause, self._scheduler.time() - self._round_seconds)
        self._alarm.set(self._due)

    def _beat(self, subscriber: Subscriber, timestamp: str, made: dict[Group, tuple[int, bytes]]) -> None:
        group: Group = subscriber.group
        if group not in made:
            number = self._flushes.safe_number(group)
            made[group] = (number, self._payload(group, timestamp, number))
        number, payload = made[group]
        if subscriber.last_sent <= number:
            subscriber.last_sent = number
        else:
            payload = self._payload(group, timestamp, subscriber.last_sent)  # the group's would set it back
        self._write(subscriber, payload)

    def _beat_behind(self, subscriber: Subscriber, timestamp: str) -> bool:
        """It may wait long for its turn to read the log, or for its state: a silent connection would be cut.

        Who is owed its state is at no cursor: cut off, it has to begin anew.
        """
        if subscriber.state is not State.CATCHING_UP:
            return False
        group: Group = subscriber.group
        position = self._catch_up.behind.get(subscriber)
        cursor = None if position is None else self._history.cursor_at(position, group.scope)
        is_owed = subscriber.reading is not None and subscriber.reading.is_owed
        if cursor is None and not is_owed:
            return False
        self._write(subscriber, group.framed(control_frames.heartbeat(timestamp, cursor)))
        return True

    def _payload(self, group: Group, timestamp: str, number: int) -> bytes:
        return group.framed(control_frames.heartbeat(timestamp, self._flushes.cursor(group, number)))

    def _write(self, subscriber: Subscriber, payload: bytes) -> None:
        if self._streams.write(subscriber, payload):
            self._streams.counters.heartbeats += 1
