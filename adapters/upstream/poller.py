"""When one upstream is asked, and with what a caller is answered.

The upstream is asked once per interval while somebody wants the result, by one request at a time, however
many callers wait for it.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from adapters.upstream.failures import BadAnswer, kind_of
from adapters.upstream.items import Items
from adapters.upstream.outages import RouteOutages
from adapters.upstream.poller_states import TRANSITIONS, PollerSignal, PollerState
from gateway.core.backoff import Backoff
from gateway.core.errors import LogError, TidegateError, UpstreamError, UpstreamTimeout
from gateway.core.states import following
from gateway.core.times import rfc3339
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters, RouteHealth
from gateway.ports.upstreams import AnswerListener, Freshness, Served, Snapshot

# A legacy poller counts as one for so many intervals after its last request.
_POLLER_INTERVALS = 3
_BACKOFF_CAP_SECONDS = 30.0
# The most that backing off adds, in intervals: an upstream that is back is seen within so many.
_BACKOFF_CAP_INTERVALS = 10


class Follows(Protocol):
    """What a poller asks for the upstream's answer: a Tracker, or what stands before one."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The last good answer."""
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

        False where the answer is held back. Raises UpstreamError or LogError where there is none.
        """
        ...

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of one of its snapshots, by key. Asks nobody."""
        ...

    async def rest(self) -> None:
        """Says that nobody wants the result for now. Raises LogError."""
        ...


_HEALTH: Mapping[PollerState, Literal["idle", "connected", "down"]] = {
    PollerState.IDLE: "idle",
    PollerState.CURRENT: "connected",
    PollerState.HELD: "connected",
    PollerState.FAILED: "down",
}


class _Flight:
    """One poll, from when somebody may wait for it until it has ended."""

    def __init__(self) -> None:
        self.is_forced = False
        """It is to begin at once, whether or not somebody wants the result."""
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
    told of the answers; whoever answers a caller tells it of that. `outages` say what fails.
    """

    def __init__(
        self,
        route: LegacyRoute,
        tracker: Follows,
        wanted: Callable[[str], bool],
        clock: Clock,
        counters: RouteCounters,
        outages: RouteOutages,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.route = route
        self.counters = counters
        self.listener: AnswerListener | None = None
        self.request_fields: Mapping[str, str] = {}
        self._tracker = tracker
        self._wanted = wanted
        self._clock = clock
        cap = min(_BACKOFF_CAP_SECONDS, _BACKOFF_CAP_INTERVALS * route.interval_seconds)
        self._outages = outages
        self._backoff = Backoff(route.interval_seconds, cap, draw)
        self._state = PollerState.IDLE
        # The last state that says what there is to answer callers with.
        self._known = PollerState.IDLE
        self._trouble: _Trouble | None = None
        self._last_success_ms: int | None = None
        self._last_get = -math.inf
        self._waiting = 0
        self._due = -math.inf
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
        snapshot = self._tracker.snapshot
        if snapshot is None or self._is_outdated:
            return None
        age = now - snapshot.asked_at
        if state is PollerState.CURRENT or (state is PollerState.IDLE and age <= self.route.interval_seconds):
            return Served(snapshot, Freshness.HIT, int(age))
        if state is PollerState.HELD or (
            state is PollerState.FAILED and age <= self.route.stale_if_error_seconds
        ):
            return Served(snapshot, Freshness.STALE, int(age))
        return None

    async def answer(self) -> Served:
        """The answer to a caller, after asking the upstream where there is none without.

        Raises UpstreamError or LogError where the upstream could not be asked and there is no snapshot, or
        none that is still good enough. Waits for at most two polls: the one under way, which may have begun
        before the last write, and the next.
        """
        served = self.at_once()
        if served is not None:
            return served
        # An upstream may be silent for longer than a caller counts as one after its request: who waits does.
        self._waiting += 1
        try:
            await self._polled()
        finally:
            self._waiting -= 1
        now = self._last_get = self._clock.monotonic()
        snapshot = self._tracker.snapshot
        age = math.inf if snapshot is None else now - snapshot.asked_at
        if snapshot is not None and self._state is not PollerState.CLOSED:
            if self._known in (PollerState.CURRENT, PollerState.IDLE):
                return Served(snapshot, Freshness.MISS, int(age))
            if self._known is PollerState.HELD or age <= self.route.stale_if_error_seconds:
                return Served(snapshot, Freshness.STALE, int(age))
        raise self._refusal()

    async def items_of(self, snapshot: Snapshot) -> Items:
        """The items of one of this route's snapshots, by key. Asks nobody."""
        return await self._tracker.items_of(snapshot)

    def wake(self) -> None:
        """Looks again whether somebody wants the result."""
        self._kick.set()

    def written(self) -> None:
        """Something was, or may have been, written through the gateway: asks the upstream at once.

        Nobody is answered from the old snapshot any more. Where there is none anywhere, there is nothing to
        bring up to date, and the upstream is left alone.
        """
        if self._state is PollerState.ASKING:
            self._flight.is_outdated = True
        elif not self._tracker.has_begun:
            return
        self._is_outdated = self._next.is_forced = True
        self._kick.set()

    def health(self) -> RouteHealth:
        """How the upstream is, as far as somebody wanted to know."""
        return RouteHealth(
            component=self.route.component,
            path=self.route.path,
            state=_HEALTH[self._known],
            last_success=None if self._last_success_ms is None else rfc3339(self._last_success_ms),
            last_error=None if self._trouble is None else self._trouble.error.detail,
        )

    def close(self) -> None:
        """Answers everybody who waits. `run` has ended before."""
        self._signal(PollerSignal.CLOSED)
        self._next.ended.set()

    async def run(self) -> None:
        """Asks the upstream for as long as the gateway runs; ends only by being cancelled."""
        while True:
            self._kick.clear()
            delay = self._delay()
            if delay is not None and delay <= 0:
                await self._poll()
                continue
            if delay is None and self._state is not PollerState.IDLE:
                self._signal(PollerSignal.UNWANTED)
                self._outages.rest()
                # What can't be given back runs out by itself.
                with contextlib.suppress(LogError):
                    await self._tracker.rest()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._kick.wait()

    def _delay(self) -> float | None:
        """The seconds until the next poll is due, 0 or less where it is; None where nobody wants it."""
        if self._next.is_forced:
            return 0.0
        since = self._clock.monotonic() - self._last_get
        recent = since <= _POLLER_INTERVALS * self.route.interval_seconds
        if recent or self._waiting > 0 or self._wanted(self.route.entity):
            return self._due - asyncio.get_running_loop().time()
        return None

    async def _poll(self) -> None:
        self._flight, self._next = self._next, _Flight()
        self._signal(PollerSignal.BEGUN)
        self._due = asyncio.get_running_loop().time() + self._tracker.pace_seconds
        try:
            self._succeeded(await self._tracker.poll(fresh=self._is_outdated))
        except (UpstreamError, LogError) as error:
            self._failed(error)
        except Exception:
            self.counters.crashes += 1
            raise
        finally:
            if self._state is PollerState.ASKING:
                self._note(UpstreamError("The upstream could not be asked: the gateway broke off."))
            self._flight.ended.set()

    def _succeeded(self, taken: bool) -> None:
        self._is_outdated = self._flight.is_outdated
        self._outages.over()
        self._trouble = None
        self._backoff.reset()
        self._last_success_ms = self._clock.wall_ms()
        snapshot = self._tracker.snapshot
        if taken and snapshot is not None and self.listener is not None:
            self.listener.polled(snapshot)
        self._signal(PollerSignal.TAKEN if taken else PollerSignal.KEPT_BACK)

    def _failed(self, error: TidegateError) -> None:
        counts = self.counters.bad_answers if isinstance(error, BadAnswer) else self.counters.failures
        counts[kind_of(error)] += 1
        delay = self._backoff.next()
        self._due = max(self._due, asyncio.get_running_loop().time()) + delay
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

    async def _polled(self) -> None:
        """Waits for a poll that shows every write so far, and sees to it that there is one.

        Where none is under way and the last one failed less than an interval ago, there is none to wait for:
        callers that only get errors must not cost the upstream more than those that get answers.
        """
        if self._state is PollerState.CLOSED:
            return
        if self._state is PollerState.ASKING and not self._flight.is_outdated:
            await self._flight.ended.wait()
            return
        failed_at = -math.inf if self._trouble is None else self._trouble.at
        recent = self._clock.monotonic() - failed_at < self.route.interval_seconds
        if self._state is PollerState.FAILED and recent and not self._next.is_forced:
            return
        self._next.is_forced = True
        self._kick.set()
        await self._next.ended.wait()

    def _refusal(self) -> TidegateError:
        """An error for one caller: raising one and the same for many would grow its traceback each time."""
        if self._state is PollerState.CLOSED:
            return UpstreamError("The gateway is stopping: ask again.")
        if self._trouble is None:
            return UpstreamError("The upstream's last answer is too old, and there is no newer one yet.")
        error = self._trouble.error
        if isinstance(error, LogError):
            return LogError(error.detail)
        kind = UpstreamTimeout if isinstance(error, UpstreamTimeout) else UpstreamError
        return kind(error.detail)
