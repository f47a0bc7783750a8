"""Ends every stream when its token does, and says so a minute before.

There is no timer for each: streams are filed by the second in which something is due, and one alarm rings for
the first. What is due is done some at a time, between flushes: ten thousand tokens may end in one second.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from math import ceil

from gateway.core import control_frames
from gateway.core.times import rfc3339
from gateway.delivery.budget import Budget
from gateway.delivery.counters import Work
from gateway.delivery.group import Group
from gateway.delivery.streams import Streams
from gateway.delivery.subscriber import State, Subscriber
from gateway.ports.clock import Clock, Scheduler
from gateway.runtime.alarm import Alarm

WARNING_SECONDS = 60.0
"""How long before its end a stream is told; at once where less is left."""
LOOK_SECONDS = 5.0
"""How often the wall clock is looked at, at least: it may have been set forward."""

_ROUNDING_SECONDS = 0.001
"""An alarm may ring a rounding error early, and must then not be set to the same time again."""
_SPARE_SECONDS = 64


class Sessions:
    """The streams whose credentials expire. `add_job` has work done between flushes.

    A token's `exp` is by the wall clock, which may be set either way; the alarm goes by the scheduler's.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        clock: Clock,
        streams: Streams,
        budget: Budget,
        add_job: Callable[[Work, Iterator[None]], None],
    ) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._streams = streams
        self._budget = budget
        self._add_job = add_job
        self.alarm = Alarm(scheduler, self._ring)
        self._due: dict[int, dict[Subscriber, None]] = {}
        self._seconds: list[int] = []
        """A heap of the keys of `_due`, and of some that are gone."""

    def begin(self, subscriber: Subscriber) -> None:
        """A new stream: it is told at once, or ended, where its token has no more than that left."""
        if subscriber.credentials is not None and subscriber.credentials.expires_at is not None:
            self._streams.safely("sessions", self._look_at, subscriber)

    def forget(self, subscriber: Subscriber) -> None:
        """Its connection is over."""
        credentials = subscriber.credentials
        if credentials is None or credentials.expires_at is None:
            return
        for second in (ceil(credentials.expires_at - WARNING_SECONDS), ceil(credentials.expires_at)):
            there = self._due.get(second)
            if there is not None:
                there.pop(subscriber, None)
                if not there:
                    del self._due[second]

    def _look_at(self, subscriber: Subscriber) -> None:
        """Does what is due for it, and files it for what comes next."""
        expires_at = subscriber.credentials.expires_at if subscriber.credentials is not None else None
        if subscriber.state is State.CLOSED or expires_at is None:
            return
        left = expires_at - self._now()
        if left <= 0:
            self._streams.bye(subscriber, "token_expired")
        elif left <= WARNING_SECONDS:
            group: Group = subscriber.group
            told = control_frames.token_expiring(rfc3339(round(expires_at * 1000)))
            self._file(subscriber, expires_at)
            self._streams.write(subscriber, group.framed_apart(told))
        else:
            self._file(subscriber, expires_at - WARNING_SECONDS)

    def _file(self, subscriber: Subscriber, when: float) -> None:
        second = ceil(when)
        there = self._due.get(second)
        if there is None:
            there = self._due[second] = {}
            heappush(self._seconds, second)
            if len(self._seconds) > 2 * len(self._due) + _SPARE_SECONDS:
                self._seconds = list(self._due)
                heapify(self._seconds)
            self._plan()
        there[subscriber] = None

    def _plan(self) -> None:
        while self._seconds and self._seconds[0] not in self._due:
            heappop(self._seconds)
        if self._seconds:
            wait = max(0.0, self._seconds[0] - self._now()) + _ROUNDING_SECONDS
            self.alarm.set(self._scheduler.time() + min(wait, LOOK_SECONDS))

    def _ring(self) -> None:
        now = self._now()
        due: list[dict[Subscriber, None]] = []
        while self._seconds and self._seconds[0] <= now:
            there = self._due.pop(heappop(self._seconds), None)
            if there is not None:
                due.append(there)
        if due:
            self._add_job("sessions", self._look_at_all(due))
        self._plan()

    def _look_at_all(self, due: Sequence[dict[Subscriber, None]]) -> Iterator[None]:
        for there in due:
            for subscriber in there:
                self._streams.safely("sessions", self._look_at, subscriber)
                if self._budget.spend():
                    yield

    def _now(self) -> float:
        return self._clock.wall_ms() / 1000
