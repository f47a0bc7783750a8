"""When one upstream is asked, and with what a caller is answered.

The upstream is asked once per interval while somebody wants the result, by one request at a time, however
many callers wait for it.
"""

import asyncio
import contextlib
import enum
import logging
import math
import random
from collections.abc import Callable
from typing import Literal, Protocol

from adapters.upstream.failures import BadAnswer, kind_of
from adapters.upstream.items import Items
from adapters.upstream.outages import RouteOutages
from gateway.core.backoff import Backoff
from gateway.core.errors import LogError, TidegateError, UpstreamError, UpstreamTimeout
from gateway.core.times import rfc3339
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.route_counters import RouteCounters, RouteHealth
from gateway.ports.upstreams import AnswerListener, Freshness, Served, Snapshot
from gateway.runtime.logs import log_event
from gateway.runtime.outage import REMINDER_SECONDS, Outage

_log = logging.getLogger(__name__)

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


class _State(enum.Enum):
    """What the last poll gave. IDLE: none since somebody began to want the result, or nobody does."""

    IDLE = "idle"
    CURRENT = "current"
    HELD = "held"
    FAILED = "failed"


_HEALTH: dict[_State, Literal["idle", "connected", "down"]] = {
    _State.IDLE: "idle",
    _State.CURRENT: "connected",
    _State.HELD: "connected",
    _State.FAILED: "down",
}


class Poller:
    """The schedule of one shared route.

    `run` is its one task; all else may be called at any time, from the loop's thread. `wanted` says whether
    a subscriber could receive events of the entity type that it is given. `listener`, where there is one, is
    told of the answers; whoever answers a caller tells it of that. `outages` say what fails. While
    `log_outage` says so of the log, there is nothing to say here; else a line a minute (`upstream_held_up`)
    tells that the log takes nothing from this route.
    """

    def __init__(
        self,
        route: LegacyRoute,
        tracker: Follows,
        wanted: Callable[[str], bool],
        clock: Clock,
        counters: RouteCounters,
        outages: RouteOutages,
        log_outage: Outage | None = None,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.route = route
        self.counters = counters
        self.listener: AnswerListener | None = None
        self._tracker = tracker
        self._wanted = wanted
        self._clock = clock
        cap = min(_BACKOFF_CAP_SECONDS, _BACKOFF_CAP_INTERVALS * route.interval_seconds)
        self._outages = outages
        self._log_outage = log_outage
        self._held_up_at: float | None = None
        self._backoff = Backoff(route.interval_seconds, cap, draw)
        self._state = _State.IDLE
        self._failure: TidegateError | None = None
        self._last_get = -math.inf
        self._failed_at = -math.inf
        self._last_success_ms: int | None = None
        self._due = -math.inf
        self._forced = False
        self._kick = asyncio.Event()
        self._flight: asyncio.Event | None = None
        self._next_flight = asyncio.Event()
        # Writes so far, and those that the last poll to succeed has shown: a poll shows what was written
        # before it began.
        self._writes = 0
        self._flight_writes = 0
        self._shown_writes = 0
        self._waiting = 0
        self._closed = False

    def at_once(self) -> Served | None:
        """The answer to a caller, where there is one without waiting. Counts the caller as a poller."""
        now = self._clock.monotonic()
        self._last_get = now
        state = self._state
        if state is _State.IDLE:
            self._kick.set()
        snapshot = self._tracker.snapshot
        if snapshot is None or self._shown_writes != self._writes:
            return None
        age = now - snapshot.asked_at
        if state is _State.CURRENT or (state is _State.IDLE and age <= self.route.interval_seconds):
            return Served(snapshot, Freshness.HIT, int(age))
        if state is _State.HELD or (state is _State.FAILED and age <= self.route.stale_if_error_seconds):
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
        if snapshot is not None and not self._closed:
            if self._state in (_State.CURRENT, _State.IDLE):
                return Served(snapshot, Freshness.MISS, int(age))
            if self._state is _State.HELD or age <= self.route.stale_if_error_seconds:
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
        self._writes += 1
        if not self._tracker.has_begun and self._flight is None:
            self._shown_writes = self._writes
            return
        self._forced = True
        self._kick.set()

    def health(self) -> RouteHealth:
        """How the upstream is, as far as somebody wanted to know."""
        return RouteHealth(
            component=self.route.component,
            path=self.route.path,
            state=_HEALTH[self._state],
            last_success=None if self._last_success_ms is None else rfc3339(self._last_success_ms),
            last_error=None if self._failure is None else self._failure.detail,
        )

    def close(self) -> None:
        """Lets go of everybody who waits. `run` has ended before."""
        self._closed = True
        self._next_flight.set()

    async def run(self) -> None:
        """Asks the upstream for as long as the gateway runs; ends only by being cancelled."""
        while True:
            await self._until_due()
            await self._poll()

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._forced:
            self._kick.clear()
            delay: float | None = None
            if self._is_wanted():
                delay = self._due - loop.time()
                if delay <= 0:
                    return
            elif self._state is not _State.IDLE:
                self._state = _State.IDLE
                await self._rest()
            try:
                async with asyncio.timeout(delay):
                    await self._kick.wait()
            except TimeoutError:
                continue

    async def _rest(self) -> None:
        self._outages.rest()
        # What can't be given back runs out by itself.
        with contextlib.suppress(LogError):
            await self._tracker.rest()

    def _is_wanted(self) -> bool:
        since = self._clock.monotonic() - self._last_get
        recent = since <= _POLLER_INTERVALS * self.route.interval_seconds
        return recent or self._waiting > 0 or self._wanted(self.route.entity)

    async def _poll(self) -> None:
        flight, self._next_flight = self._next_flight, asyncio.Event()
        self._flight, self._flight_writes = flight, self._writes
        self._forced = False
        self._due = asyncio.get_running_loop().time() + self._tracker.pace_seconds
        ended = False
        try:
            self._succeeded(await self._tracker.poll(fresh=self._flight_writes != self._shown_writes))
            ended = True
        except (UpstreamError, LogError) as error:
            self._failed(error)
            ended = True
        except Exception:
            self.counters.crashes += 1
            raise
        finally:
            if not ended:
                self._note(UpstreamError("The upstream could not be asked: the gateway broke off."))
            self._flight = None
            flight.set()

    def _succeeded(self, taken: bool) -> None:
        self._shown_writes = self._flight_writes
        self._outages.over()
        self._failure = self._held_up_at = None
        self._backoff.reset()
        self._state = _State.CURRENT if taken else _State.HELD
        self._last_success_ms = self._clock.wall_ms()
        snapshot = self._tracker.snapshot
        if taken and snapshot is not None and self.listener is not None:
            self.listener.polled(snapshot)

    def _failed(self, error: TidegateError) -> None:
        counts = self.counters.bad_answers if isinstance(error, BadAnswer) else self.counters.failures
        counts[kind_of(error)] += 1
        self._note(error)
        delay = self._backoff.next()
        self._due = max(self._due, asyncio.get_running_loop().time()) + delay
        if isinstance(error, LogError):
            self._tell_of_log(error)
        else:
            self._held_up_at = None
            self._outages.failed(error)

    def _tell_of_log(self, error: LogError) -> None:
        now = self._clock.monotonic()
        if self._held_up_at is None or (self._log_outage is not None and self._log_outage.lasts):
            self._held_up_at = now
        elif now - self._held_up_at >= REMINDER_SECONDS:
            self._held_up_at = now
            log_event(
                _log,
                logging.WARNING,
                "upstream_held_up",
                component=self.route.component,
                path=self.route.path,
                detail=error.detail,
            )

    def _note(self, error: TidegateError) -> None:
        self._state = _State.FAILED
        self._failure = error
        self._failed_at = self._clock.monotonic()

    async def _polled(self) -> None:
        """Waits for a poll that shows every write so far, and sees to it that there is one.

        Where none is under way and the last one failed less than an interval ago, there is none to wait for:
        callers that only get errors must not cost the upstream more than those that get answers.
        """
        if self._closed:
            return
        if self._flight is not None and self._flight_writes == self._writes:
            await self._flight.wait()
            return
        recent = self._clock.monotonic() - self._failed_at < self.route.interval_seconds
        if self._flight is None and self._state is _State.FAILED and recent and not self._forced:
            return
        self._forced = True
        self._kick.set()
        await self._next_flight.wait()

    def _refusal(self) -> TidegateError:
        """An error for one caller: raising one and the same for many would grow its traceback each time."""
        if self._closed:
            return UpstreamError("The gateway is stopping: ask again.")
        failure = self._failure
        if failure is None:
            return UpstreamError("The upstream's last answer is too old, and there is no newer one yet.")
        kind = UpstreamTimeout if isinstance(failure, UpstreamTimeout) else UpstreamError
        if isinstance(failure, LogError):
            return LogError(failure.detail)
        return kind(failure.detail)
