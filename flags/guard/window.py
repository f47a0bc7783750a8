"""What one node sees of a component, over a sliding window. Pure: time comes in."""

from dataclasses import dataclass, field, replace

from flags.guard.callers import CallerTable, Side
from flags.guard.known_changes import KnownChanges
from flags.guard.tally import RECENT_SLOTS, Freshness, Sums, Tally
from flags.guard.who import Who
from flags.guard.windows import SlidingWindow
from flags.parity.report import Tally as Compared

TENTH = 0.1
"""The part of a window after a change that is not looked at, and by which a bad spell is found to be over."""


@dataclass(slots=True)
class _Slot:
    sums: Sums = field(default_factory=Sums)
    freshness: Freshness = field(default_factory=Freshness)


class GuardWindow:
    """One component's figures over the last `seconds`: sixty slots of a few counters, and a sample of
    callers.

    A change counts as late where it was seen more than `fresh_ms` after the gateway knew it. Where a
    component's window is to have another length, it gets a new one.
    """

    def __init__(self, seconds: float, fresh_ms: float = 1000) -> None:
        self.seconds = seconds
        self.fresh_ms = fresh_ms
        self.callers = CallerTable(seconds)
        self._window: SlidingWindow[_Slot] = SlidingWindow(seconds, _Slot)
        self._changes = KnownChanges()

    def compared(self, tally: Compared, now: float) -> None:
        """Adds what `Parity.drain` gave."""
        self._window.current(now).sums.compared.add(tally.agreed, tally.differed, tally.noisy)

    def own_polls(self, succeeded: int, failed: int, now: float) -> None:
        """Adds the gateway's own requests to the upstreams of shared routes."""
        self._window.current(now).sums.own_polls.add(succeeded, failed)

    def pushed(self, lag_ms: float, source_lag_ms: float | None, streams: int, now: float) -> None:
        """Adds one change that was written to so many streams.

        `lag_ms` is from when the gateway had it, `source_lag_ms` from its own timestamp, where it has one.
        """
        slot = self._window.current(now)
        slot.sums.lags.add(lag_ms)
        if source_lag_ms is not None:
            slot.sums.source_lags.add(source_lag_ms)
        slot.freshness.seen += streams
        slot.freshness.late += streams if lag_ms > self.fresh_ms else 0

    def changed(self, at: float) -> None:
        """Notes when the gateway knew of a change: pollers see it with their next answer."""
        self._changes.add(at)

    def polled(self, who: Who, side: Side, now: float, *, failed: bool, decided_by: object = None) -> None:
        """Adds one answer to a caller's poll; `failed` by the gateway's own fault. See `CallerTable`."""
        before = self.callers.polled(who, side, now, failed=failed, decided_by=decided_by)
        if before is not None and side is Side.CONTROL:
            self._see_changes(before, now)

    def polled_again(self, key: str, now: float, *, failed: bool, decided_by: object) -> bool:
        """The same of a caller that is kept; says whether it is, with a side that was found by this flag."""
        found = self.callers.polled_again(key, now, failed=failed, decided_by=decided_by)
        if found is None:
            return False
        side, before = found
        if before is not None and side is Side.CONTROL:
            self._see_changes(before, now)
        return True

    def _see_changes(self, before: float, now: float) -> None:
        """A poller sees what the gateway knew of since its last answer."""
        seen = self._changes.between(before, now)
        if seen:
            freshness = self._window.current(now).freshness
            freshness.seen_polled += seen
            freshness.late_polled += self._changes.between(before, now - self.fresh_ms / 1000)

    def tally(self, start: float, now: float, streams: int = 0) -> Tally:
        """What was seen in the part of the window that began at `start` or later; `streams` are open now."""
        tally = Tally(streams=streams, is_crowded=self.callers.is_crowded(now))
        for age, slot in self._window.aged(start, now):
            tally.whole.merge(slot.sums)
            if age < RECENT_SLOTS:
                tally.recent.merge(slot.sums)
            if slot.freshness.seen or slot.freshness.seen_polled:
                tally.freshness[age] = replace(slot.freshness)
        tally.levels = dict(self.callers.levels)
        for side, number, marks in self.callers.marks(start, now):
            tally.callers[side][number] = marks
        return tally
