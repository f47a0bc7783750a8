"""When one upstream is asked, and with what a caller is answered.

The upstream is asked once per interval while somebody wants the result, by one request at a time, however
many callers wait for it.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from adapters.upstream.asking.request import request_fields
from adapters.upstream.failures import BadAnswer, is_no_such_list, kind_of
from adapters.upstream.outages import RouteOutages
from adapters.upstream.poller_states import TRANSITIONS, PollerSignal, PollerState
from adapters.upstream.reading.items import Items
from adapters.upstream.refusals import refusal_after
from adapters.upstream.schedule import Schedule
from gateway.core import chance
from gateway.core.errors import LogError, TidegateError, UpstreamError
from gateway.core.states import following
from gateway.core.times import rfc3339
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters, RouteHealth
from gateway.ports.upstreams import (
    AnswerListener,
    Freshness,
    HeldBack,
    Served,
    Snapshot,
    UpstreamAnswered,
)

# A legacy poller counts as one for so many intervals after its last request.
_POLLER_INTERVALS = 3


class Follows(Protocol):
    """What a poller asks for the upstream's answer: a Tracker, or what stands before one."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The last good answer."""
        ...

    @property
    def unusable(self) -> Snapshot | None:
        """The answer after it, where that can't be compared; None where there is none."""
        ...

    @property
    def has_begun(self) -> bool:
        """Whether there may be an answer already, also at another node, that a write puts out of date."""
        ...

    @property
    def pace_seconds(self) -> float:
        """How long after one `poll` the next is due."""
        ...

    async def poll(self, *, fresh: bool) -> bool:
        """Brings `snapshot` up to date; with `fresh`, an answer that was asked for before won't do.

        False where the answer is held back. Raises UpstreamError or LogError where there is none, BadAnswer
        also where the answer has become `unusable`.
        """
        ...

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of one of its snapshots, by key. Asks nobody."""
        ...

    async def rest(self) -> None:
        """Says that nobody wants the result for now. Raises LogError."""
        ...


_HEALTH: Mapping[PollerState, Literal["idle", "connected", "unusable", "down"]] = {
    PollerState.IDLE: "idle",
    PollerState.CURRENT: "connected",
    PollerState.HELD: "connected",
    PollerState.UNUSABLE: "unusable",
    PollerState.FAILED: "down",
}
_ANSWERED = frozenset({PollerState.CURRENT, PollerState.UNUSABLE})
"""The last poll gave what callers get."""


class _Flight:
    """One poll, from when somebody may wait for it until it has ended."""

    def __init__(self) -> None:
        self.at = math.inf
        """When it is to begin (monotonic seconds), whether or not somebody wants the result."""
        self.is_for_write = False
        """A write is what brings it forward."""
        self.is_outdated = False
        """Something was written since it began, which it may not show."""
        self.ended = asyncio.Event()


class _Trouble(NamedTuple):
    """Why the last poll gave nothing, and when that was known (monotonic seconds)."""

    error: TidegateError
    at: float


class Poller:
    """The schedule of one shared route.

    `run` is its one task; all else may be called at any time, from the loop's thread. `wanted` says whether
    a subscriber could receive events of the entity type that it is given. `listener`, where there is one, is
    told of the answers; whoever answers a caller tells it of that. `outages` say what fails. `on_unwanted` is
    called from `run` whenever nobody wants the result any more.
    """

    def __init__(
        self,
        route: LegacyRoute,
        tracker: Follows,
        wanted: Callable[[str], bool],
        clock: Clock,
        counters: RouteCounters,
        outages: RouteOutages,
        draw: Callable[[float, float], float] = chance.draw,
        on_unwanted: Callable[[], None] = lambda: None,
    ) -> None:
        self.route = route
        self.counters = counters
        self.listener: AnswerListener | None = None
        self.request_fields = request_fields(route)
        self._tracker = tracker
        self._wanted = wanted
        self._clock = clock
        self._outages = outages
        self._on_unwanted = on_unwanted
        self._schedule = Schedule(route, clock, draw)
        self._state = PollerState.IDLE
        # The last state that says what there is to answer callers with.
        self._known = PollerState.IDLE
        self._trouble: _Trouble | None = None
        self._last_success_ms: int | None = None
        self._last_get = -math.inf
        self._waiting = 0
        self._kick = asyncio.Event()
        # The poll under way, or the last one, and the one after it.
        self._flight = self._next = _Flight()
        # Something was written that no poll has shown: a poll shows what was written before it began.
        self._is_outdated = False

    def at_once(self) -> Served | None:
        """The answer to a caller, where there is one without waiting. Counts the caller as a poller."""
        now = self._clock.monotonic()
        self._last_get = now
        state = self._known
        if state is PollerState.IDLE:
            self._kick.set()
        snapshot = self._latest
        if snapshot is None or self._is_outdated:
            return None
        age = now - snapshot.asked_at
        if state in _ANSWERED or (state is PollerState.IDLE and age <= self.route.interval_seconds):
            return _served(snapshot, Freshness.HIT, age)
        if state is PollerState.HELD or (
            state is PollerState.FAILED and age <= self.route.stale_if_error_seconds
        ):
            return _served(snapshot, Freshness.STALE, age)
        return None

    async def answer(self) -> Served:
        """The answer to a caller, after asking the upstream where there is none without.

        Where there is no snapshot, or none that is still good enough, raises what `refusal_after` gives for
        why; HeldBack where the poll that shows the last write is put off. Waits for at most two polls: the
        one under way, which may have begun before the last write, and the next.
        """
        served = self.at_once()
        if served is not None:
            return served
        # An upstream may be silent for longer than a caller counts as one after its request: who waits does.
        self._waiting += 1
        try:
            is_polled = await self._polled()
        finally:
            self._waiting -= 1
        now = self._last_get = self._clock.monotonic()
        snapshot = self._latest
        if snapshot is not None and self._state is not PollerState.CLOSED:
            age = now - snapshot.asked_at
            if is_polled and (self._known in _ANSWERED or self._known is PollerState.IDLE):
                return _served(snapshot, Freshness.MISS, age)
            if self._known is PollerState.HELD or age <= self.route.stale_if_error_seconds:
                return _served(snapshot, Freshness.STALE, age)
        raise self._refusal()

    @property
    def last_good(self) -> Snapshot | None:
        """The last answer that can be compared, however old: that which the events so far have led to."""
        return self._tracker.snapshot

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of one of this route's snapshots, by key. Asks nobody."""
        return await self._tracker.items_of(snapshot)

    def wake(self) -> None:
        """Looks again whether somebody wants the result."""
        self._kick.set()

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody wants the result, so that the upstream is not asked before somebody comes."""
        return self._state is PollerState.IDLE and not self._is_wanted() and self._next.at == math.inf

    @property
    def has_answer(self) -> bool:
        """Whether there is an answer with which the next one is compared."""
        return self._tracker.snapshot is not None

    def written(self) -> None:
        """Something was, or may have been, written through the gateway: asks the upstream as soon as it may.

        Nobody is answered from the old snapshot any more. Where there is none anywhere, there is nothing to
        bring up to date, and the upstream is left alone.
        """
        if self.outdate():
            self._next.is_for_write = True
            self._next.at = min(self._next.at, max(self._clock.monotonic(), self._schedule.after_write_at))
            self._kick.set()

    def outdate(self) -> bool:
        """The same, but the upstream is asked when it is due, or somebody waits. False: there is nothing."""
        if self._state is PollerState.ASKING:
            self._flight.is_outdated = True
        elif not self._tracker.has_begun and self._latest is None:
            return False
        self._is_outdated = True
        return True

    def health(self) -> RouteHealth:
        """How the upstream is, as far as somebody wanted to know."""
        state, trouble = _HEALTH[self._known], self._trouble
        if state == "down" and trouble is not None and is_no_such_list(self.route, trouble.error):
            state, trouble = "connected", None
        return RouteHealth(
            component=self.route.component,
            path=self.route.path,
            state=state,
            last_success=None if self._last_success_ms is None else rfc3339(self._last_success_ms),
            last_error=None if trouble is None else trouble.error.detail,
        )

    def close(self) -> None:
        """Answers everybody who waits. `run` has ended before."""
        self._signal(PollerSignal.CLOSED)
        self._next.ended.set()

    async def run(self) -> None:
        """Asks the upstream for as long as the gateway runs; ends only by being cancelled."""
        while True:
            self._kick.clear()
            delay = self._schedule.delay(self._next.at, is_wanted=self._is_wanted())
            if delay <= 0:
                await self._poll()
                continue
            if delay == math.inf and self._state is not PollerState.IDLE:
                self._signal(PollerSignal.UNWANTED)
                self._outages.rest()
                # What can't be given back runs out by itself.
                with contextlib.suppress(LogError):
                    await self._tracker.rest()
                # Somebody may have come meanwhile.
                if self.is_at_rest:
                    self._on_unwanted()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if delay == math.inf else delay):
                    await self._kick.wait()

    def _is_wanted(self) -> bool:
        """Whether somebody wants the result: a caller, or a subscriber."""
        since = self._clock.monotonic() - self._last_get
        recent = since <= _POLLER_INTERVALS * self.route.interval_seconds
        return recent or self._waiting > 0 or self._wanted(self.route.entity)

    async def _poll(self) -> None:
        self._flight, self._next = self._next, _Flight()
        self._signal(PollerSignal.BEGUN)
        self._schedule.begun(self._tracker.pace_seconds, for_write=self._flight.is_for_write)
        try:
            taken = await self._tracker.poll(fresh=self._is_outdated)
            self._answered(PollerSignal.TAKEN if taken else PollerSignal.KEPT_BACK)
        except (UpstreamError, LogError) as error:
            counts = self.counters.bad_answers if isinstance(error, BadAnswer) else self.counters.failures
            counts[kind_of(error)] += 1
            if isinstance(error, BadAnswer) and error.is_kept:
                self._unusable(error)
            else:
                self._failed(error)
        except Exception:
            self.counters.crashes += 1
            raise
        finally:
            if self._state is PollerState.ASKING:
                self._note(UpstreamError("The upstream could not be asked: the gateway broke off."))
            self._flight.ended.set()
            if self._schedule.is_left_alone:
                # Who waits for the poll after this one would wait for as long as the upstream asks.
                self._next.ended.set()
                self._next.ended = asyncio.Event()

    def _answered(self, signal: PollerSignal) -> None:
        self._is_outdated = self._flight.is_outdated
        self._schedule.answered()
        self._last_success_ms = self._clock.wall_ms()
        self._outages.over()
        self._trouble = None
        snapshot = self._latest
        if signal is PollerSignal.TAKEN and snapshot is not None:
            if snapshot.problem is not None:
                # Another node asked, and keeps what can't be compared for all.
                signal = PollerSignal.UNUSABLE
            elif self.listener is not None:
                self.listener.polled(snapshot)
        self._signal(signal)

    def _unusable(self, error: BadAnswer) -> None:
        """Callers get what there is as before, and as soon; only nothing can be compared with it."""
        self._is_outdated = self._flight.is_outdated
        wish = _wish_of(error)
        if wish is None:
            self._schedule.answered()
        else:
            self._schedule.failed(wish)
        self._outages.unusable(error)
        self._trouble = _Trouble(error, self._clock.monotonic())
        self._signal(PollerSignal.UNUSABLE)

    def _failed(self, error: TidegateError) -> None:
        self._schedule.failed(_wish_of(error) or 0.0)
        self._outages.failed(error)
        self._note(error)

    def _note(self, error: TidegateError) -> None:
        self._trouble = _Trouble(error, self._clock.monotonic())
        self._signal(PollerSignal.FAILED)

    def _signal(self, signal: PollerSignal) -> None:
        """Moves to the state that the table gives. Raises RuntimeError for a pair that it does not have."""
        self._state = following(TRANSITIONS, self._state, signal, "a poller")
        if self._state in _HEALTH:
            self._known = self._state

    @property
    def _latest(self) -> Snapshot | None:
        """What callers get: the upstream's last answer, whether or not it can be compared."""
        return self._tracker.unusable or self._tracker.snapshot

    async def _polled(self) -> bool:
        """Waits for a poll that shows every write so far, and sees to it that there is one.

        False where there is none to wait for: the upstream wants to be left alone, or none is under way and
        the last one failed less than an interval ago. Callers that only get errors must not cost the upstream
        more than those that get answers. Raises HeldBack where writes may bring one forward only later.
        """
        if self._state is PollerState.CLOSED:
            return False
        if self._state is PollerState.ASKING and not self._flight.is_outdated:
            await self._flight.ended.wait()
            return True
        if self._schedule.is_left_alone:
            return False
        now = self._clock.monotonic()
        if now < self._next.at < math.inf:
            raise HeldBack
        failed_at = -math.inf if self._trouble is None else self._trouble.at
        recent = now - failed_at < self.route.interval_seconds
        if self._state is PollerState.FAILED and recent and self._next.at == math.inf:
            return False
        if self._is_outdated and now < self._schedule.after_write_at:
            raise HeldBack
        self._next.at = min(self._next.at, now)
        self._next.is_for_write |= self._is_outdated
        self._kick.set()
        await self._next.ended.wait()
        return True

    def _refusal(self) -> Exception:
        if self._state is PollerState.CLOSED:
            return UpstreamError("The gateway is stopping: ask again.")
        if self._trouble is None:
            return UpstreamError("The upstream's last answer is too old, and there is no newer one yet.")
        return refusal_after(self._trouble.error, self._clock.monotonic() - self._trouble.at)


def _served(snapshot: Snapshot, freshness: Freshness, age_seconds: float) -> Served:
    return Served(snapshot, freshness if snapshot.problem is None else Freshness.UNUSABLE, int(age_seconds))


def _wish_of(error: TidegateError) -> float | None:
    """For how many seconds the upstream wants to be left alone; None where it says nothing of that."""
    return error.answer.retry_after_seconds if isinstance(error, UpstreamAnswered) else None
