"""Compares what was pushed with what is polled, beside everything else the gateway does.

One more reader of this node's history, and one task: nobody who is answered waits for it, and the event loop
is never held for longer than a slice.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence

from flags.decide.flag import Flags
from flags.parity.report import ParityReport, Tally, combine
from gateway.core.errors import LogError
from gateway.core.events import Position
from gateway.core.history import History, HistoryEntry
from gateway.migration.parity_lane import Begun, ParityLane
from gateway.migration.parity_states import ACTIVE, BegunBy
from gateway.ports.clock import Clock
from gateway.runtime.logs import log_event
from gateway.runtime.slices import Slices

_log = logging.getLogger(__name__)

_ENTRIES_A_READ = 256
_LEASE_LOOK_SECONDS = 1.0

Tallied = Callable[[str, Tally, float], None]
"""Takes what was counted for a component, and the monotonic time."""


class ParitySampler:
    """Feeds every lane with the history's events and its own polled answers; `run` is its task.

    `keep_leases` is another, beside it.

    `tallied` is handed what was counted. Events are read from where `run` begins; where some were trimmed
    before they were read, or the log began anew, the lanes begin anew too. Where a lane is not to compare
    here, what callers get on this node is of the snapshot that the node which compares has as well.
    """

    def __init__(self, history: History, clock: Clock, slices: Slices, tallied: Tallied) -> None:
        self.lanes: list[ParityLane] = []
        self._history = history
        self._clock = clock
        self._tallied = tallied
        self._by_type: dict[str | None, list[ParityLane]] = {}
        self._wake = asyncio.Event()
        self._epoch = ""
        self._number = 0
        self._slices = slices

    def add(self, lane: ParityLane) -> None:
        """One more lane, before `run`. It wakes the sampler itself."""
        self.lanes.append(lane)
        self._by_type.setdefault(lane.route.entity, []).append(lane)

    def wake(self) -> None:
        """There may be something to do: the history has grown, an answer waits, or flags have changed."""
        self._wake.set()

    def flags_changed(self, before: Flags, after: Flags) -> None:
        """The flag store's subscriber: a component that was re-armed is compared from here on only."""
        for lane in self.lanes:
            old, new = before.get(lane.route.component), after.get(lane.route.component)
            if old is not None and old.latch is not None and (new is None or new.latch is None):
                lane.begin_again(BegunBy.REARM)
        self.wake()

    def report(self, component: str) -> ParityReport | None:
        """The figures of all of the component's lanes since the process began; None where it has none."""
        reports = [lane.report() for lane in self.lanes if lane.route.component == component]
        return combine(reports) if reports else None

    def reports(self) -> dict[str, ParityReport]:
        """The figures of every component that has a lane."""
        return {
            component: combine(lane.report() for lane in self.lanes if lane.route.component == component)
            for component in sorted({lane.route.component for lane in self.lanes})
        }

    def begun(self, component: str) -> Begun | None:
        """Since when, and by what, the component's lists are compared here, by the last that began anew.

        Where this node compares none of them, since when it leaves that to others; None where nobody does.
        """
        begun = [
            lane.begun for lane in self.lanes if lane.route.component == component and lane.begun is not None
        ]
        here = [one for one in begun if one.by is not None]
        return max(here or begun, key=lambda one: one.at_ms, default=None)

    def is_same_source(self, component: str) -> bool:
        """Whether all that the component pushes is made from the polls that it is compared with."""
        lanes = [lane for lane in self.lanes if lane.route.component == component]
        return bool(lanes) and all(lane.is_same_source for lane in lanes)

    async def run(self) -> None:
        """Compares for as long as the gateway runs; ends only by being cancelled.

        Where it raised and is run again, whatever it was at is left out, and the lanes begin anew.
        """
        self._begin(BegunBy.START)
        while True:
            self._wake.clear()
            await self._read()
            # Also for the last of the lanes, whatever comes until it has its turn: `_read` goes on from here.
            position, now = self._history.head_position, self._clock.monotonic()
            for lane in self.lanes:
                await self._follow_flag(lane, position, now)
            compared = [await self._compare_next(lane) for lane in self.lanes if lane.state in ACTIVE]
            self._tell()
            if not any(compared):
                await self._wake.wait()

    async def _follow_flag(self, lane: ParityLane, position: Position, now: float) -> None:
        before = lane.begun
        await self._slices.run(lane.following_flag(position, now, self._clock.wall_ms()))
        if lane.begun is not before and lane.begun is not None and lane.begun.by is BegunBy.LEASE:
            log_event(
                _log,
                logging.INFO,
                "parity_restarted",
                reason=BegunBy.LEASE.value,
                component=lane.route.component,
                path=lane.route.path,
            )

    async def keep_leases(self, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Sees to it that of the nodes with this log one compares, for as long as the gateway runs.

        Apart from `run`, which must not wait for the store. `pause` waits for some seconds. Returns at once
        where there can be no other node.
        """
        while any(lane.lease.is_shared for lane in self.lanes):
            for lane in self.lanes:
                # What can't be renewed or given back runs out by itself.
                with contextlib.suppress(LogError):
                    await lane.lease.keep(is_wanted=lane.is_to_be_compared)
            self.wake()
            await pause(_LEASE_LOOK_SECONDS)

    def _begin(self, by: BegunBy) -> None:
        self._epoch, self._number = self._history.epoch, self._history.head
        for lane in self.lanes:
            lane.begin_again(by)

    async def _read(self) -> None:
        """Brings every lane up to the head; afterwards no event lies between."""
        while True:
            if self._epoch != self._history.epoch:
                self._miss(BegunBy.EPOCH)
                return
            if not any(lane.state in ACTIVE for lane in self.lanes):
                self._number = self._history.head
                return
            entries = self._history.after(self._number, _ENTRIES_A_READ)
            if entries is None:
                self._miss(BegunBy.TRIMMED)
                return
            if not entries:
                return
            await self._slices.run(self._apply(entries))
            self._number += len(entries)

    def _apply(self, entries: Sequence[HistoryEntry]) -> Iterator[None]:
        for entry in entries:
            for lane in self._by_type.get(entry.event.entity_type, ()):
                if lane.state in ACTIVE:
                    yield from lane.applying(entry)
            yield
        for lane in self.lanes:
            lane.parity.advance(entries[-1].position)

    def _miss(self, by: BegunBy) -> None:
        log_event(_log, logging.WARNING, "parity_restarted", reason=by.value)
        self._begin(by)

    async def _compare_next(self, lane: ParityLane) -> bool:
        """Compares one answer, where there is one that can be compared; says whether there was."""
        sample = lane.next_sample(self._epoch)
        if sample is None:
            return False
        await self._slices.run(await lane.steps(sample, self._clock.monotonic()))
        return True

    def _tell(self) -> None:
        now = self._clock.monotonic()
        for lane in self.lanes:
            tally = lane.parity.drain()
            if tally != _NOTHING:
                self._tallied(lane.route.component, tally, now)


_NOTHING = Tally()
