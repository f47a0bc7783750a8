"""Who judges a simulated rollout: the guard itself (or, in loadtests/guard_before.py, what was there before).

The guard is the real one: its windows, tallies, evidence and verdicts, with virtual time. It is asked at
every evaluation that could change anything: where a window is over, a failure lasts, or a bound may be
reached. That is told by an estimate of both sides that costs next to nothing. Where there is no harm it is
generous, and asks whether to go back well before the bound. Elsewhere, and whether to go on, it asks once the
estimate has reached the bound itself, every 30 s at most: so the guard may be later, but never sooner.
"""

import math
import random
from collections import Counter, deque
from dataclasses import dataclass
from typing import Protocol

from flags.decide.guard_settings import GuardSettings
from flags.guard.callers import Side
from flags.guard.confidence import Arm, is_above, is_below
from flags.guard.metrics import COMPARED, OF_CALLERS, Metric
from flags.guard.tally import Tally
from flags.guard.verdict import (
    GuardState,
    Promote,
    RollBack,
    Rollout,
    begin_of,
    compared,
    evaluate,
)
from flags.guard.who import Who
from flags.guard.window import GuardWindow
from flags.guard.windows import SLOTS
from loadtests.guard_world import WINDOW_SECONDS, Caller, Habits, What, World

EVERY_SECONDS = max(0.25, WINDOW_SECONDS / 60)
"""How often the guard evaluates, as its loop in the gateway does."""
UNMEASURED = frozenset({Metric.CONSISTENCY})
POLLERS = 8
"""How many pollers are followed poll by poll, for how late they see changes."""
MUTE_SECONDS = 15.0
_LOOSE_ALPHA, _LOOSE_MARGIN = 1.7, 0.95
"""How much sooner than the guard finds something it is asked."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done: `percentage` is the next step, None for a rollback.

    It rests on so many `callers` who stream, or on so many samples. `by_limit`: an absolute limit was passed,
    and what those who poll fared did not count.
    """

    percentage: float | None
    metric: str
    callers: int
    by_limit: bool = False


NO_DECISION = Decision(None, "", 0)


class Judge(Protocol):
    """One who judges a rollout. Times are virtual seconds; `now` rises by EVERY_SECONDS."""

    evaluations: int

    def settle(self, percentage: float, now: float) -> None:
        """The rollout stands at `percentage` from now on."""

    def happened(self, at: float, what: What, caller: Caller) -> None:
        """Takes note of what happened to a caller, in order of time."""

    def judge(self, now: float) -> Decision | None:
        """What is to be done now, if anything."""

    def wanted(self, now: float) -> int | None:
        """About how many callers more it takes, where the judge can say so."""


class Changes:
    """What is published, pushed and polled: a node of its own whose figures are merged with the callers'."""

    def __init__(self, habits: Habits, seed: str) -> None:
        # Not the world's random numbers: what callers do is the same for every judge.
        self._random = random.Random(f"{seed} changes")
        self._habits = habits
        self.window = GuardWindow(WINDOW_SECONDS)
        self._now = self._next = 0.0
        self._pollers = [
            (Who(f"s:poller {number}"), habits.poll_seconds * self._random.uniform(0.8, 1.0))
            for number in range(POLLERS)
        ]
        self._written: list[tuple[float, float]] = []
        self._pushed: deque[tuple[float, float]] = deque()

    def advance(self, now: float) -> None:
        """Publishes and polls until `now`."""
        habits = self._habits
        while self._next <= now:
            lag_ms = self._random.lognormvariate(math.log(habits.lag_ms), habits.lag_spread)
            self.window.changed(self._next)
            self._written.append((self._next + lag_ms / 1000, lag_ms))
            self._next += self._random.expovariate(1 / habits.change_seconds)
        due: list[tuple[float, float | Who]] = [*filter(lambda one: one[0] <= now, self._written)]
        self._written = [one for one in self._written if one[0] > now]
        for number, (who, interval) in enumerate(self._pollers):
            turn = math.floor(self._now / interval - number / POLLERS) + 1
            while (at := (turn + number / POLLERS) * interval) <= now:
                due.append((at, who))
                turn += 1
        for at, one in sorted(due, key=lambda one: one[0]):
            if isinstance(one, Who):
                self.window.polled(one, Side.CONTROL, at, failed=False)
            else:
                self.window.pushed(one, None, 1, at)
                self._pushed.append((at, one))
        while self._pushed and self._pushed[0][0] <= now - WINDOW_SECONDS:
            self._pushed.popleft()
        self._now = now

    def late(self, since: float) -> tuple[float, int]:
        """Of the slots of the window from `since` on the sum of the shares that were late, and how many."""
        slots: dict[int, list[bool]] = {}
        for at, lag_ms in self._pushed:
            if at > since:
                slots.setdefault(math.floor(at / EVERY_SECONDS), []).append(lag_ms > self.window.fresh_ms)
        return sum(sum(late) / len(late) for late in slots.values()), len(slots)

    def share_above(self, lag_ms: float) -> float:
        """Which share of the window's changes took longer."""
        return sum(one > lag_ms for _, one in self._pushed) / max(1, len(self._pushed))

    def tally(self, start: float, now: float) -> Tally:
        """The figures of changes; the pollers are no callers to be counted."""
        tally = self.window.tally(start, now)
        tally.callers = {side: {} for side in Side}
        return tally


PATIENCE_SECONDS = 30.0


class RealGuard:
    """The guard of the gateway. With `is_thorough` it is asked at every evaluation.

    With `is_patient` it is asked every 30 s at most whether to go back.
    """

    def __init__(
        self,
        settings: GuardSettings,
        world: World,
        changes: Changes,
        *,
        is_thorough: bool = False,
        is_patient: bool = False,
    ) -> None:
        self._is_patient = is_patient
        self._settings, self._world, self._changes = settings, world, changes
        self._is_thorough = is_thorough
        self._window = GuardWindow(WINDOW_SECONDS)
        self._state, self._percentage = GuardState(0.0), 0.0
        self._estimate = Estimate(world)
        self.evaluations = self.asked = 0

    def settle(self, percentage: float, now: float) -> None:
        """A change starts the guard over."""
        self._percentage, self._state = percentage, GuardState(now)
        self._window.callers.levels.update(self._world.levels)
        self._estimate = Estimate(self._world)

    def happened(self, at: float, what: What, caller: Caller) -> None:
        """Tells the table of callers."""
        table, who = self._window.callers, caller.who
        self._estimate.happened(at, what, caller)
        if what is What.FAILED or caller.is_hopeless:
            table.polled(who, caller.side, at, failed=True)
        elif caller.side is Side.TREATED and what is What.CAME:
            table.opened(who, Side.TREATED, at)
            if caller.is_swallowed:
                table.mute(who, at + MUTE_SECONDS)
                table.fell_back(who, at + MUTE_SECONDS)
                table.closed(who, at + MUTE_SECONDS)
            else:
                table.acknowledged(who, at)
        elif what is What.LEFT and not caller.polls:
            table.closed(who, at)
        elif what is What.LEFT or caller.polls:
            self._polled(caller, at)

    def judge(self, now: float) -> Decision | None:
        """Evaluates, where that could change anything."""
        self.evaluations += 1
        self._changes.advance(now)
        if not (self._is_thorough or self._is_due(now) or self._may_act(now)):
            return None
        self.asked += 1
        tally = self._tally(now)
        rollout = Rollout(streaming=True, percentage=self._percentage, latched=False)
        closed_at = self._state.closed_at
        found = evaluate(self._settings, tally, self._state, rollout, now, UNMEASURED)
        self._state = found.state
        if found.state.closed_at != closed_at:
            self._estimate.closed()
        if isinstance(found.action, Promote):
            return Decision(found.action.percentage, "", self._callers(tally, now))
        if isinstance(found.action, RollBack):
            by_limit = found.verdict.comparison is None
            return Decision(None, found.action.metric.value, self._callers(tally, now), by_limit)
        return None

    def wanted(self, now: float) -> int | None:
        """About how many callers more it takes for all metrics, as the guard says; None out of reach."""
        tally = self._tally(now)
        rollout = Rollout(streaming=True, percentage=self._percentage, latched=False)
        comparisons = compared(self._settings, tally, self._state, rollout, now) or ()
        counts = [one.more_wanted for one in comparisons if one.metric is not Metric.PUSH_LAG]
        known = [count for count in counts if count is not None]
        return max(known) if known and len(known) == len(counts) else None

    def _callers(self, tally: Tally, now: float) -> int:
        rollout = Rollout(streaming=True, percentage=self._percentage, latched=False)
        comparisons = compared(self._settings, tally, self._state, rollout, now)
        return int(comparisons[0].treated.values) if comparisons else len(tally.callers[Side.TREATED])

    def _tally(self, now: float) -> Tally:
        for caller in self._world.there.values():
            if caller.polls and not caller.is_hopeless:
                self._polled(caller, now)
        begin = begin_of(self._settings, self._state)
        tally = self._window.tally(begin, now)
        tally.merge(self._changes.tally(begin, now))
        return tally

    def _polled(self, caller: Caller, now: float) -> None:
        at = max(caller.polled_at(now), caller.came_at)
        if at > caller.failed_at:
            self._window.callers.polled(caller.who, caller.side, at, failed=False)

    def _is_due(self, now: float) -> bool:
        """Whether a window is over, or a failure lasts."""
        state = self._state
        since = begin_of(self._settings, state) if state.closed_at is None else state.closed_at
        return state.failing_since is not None or now - since >= WINDOW_SECONDS

    def _may_act(self, now: float) -> bool:
        settings, state, estimate = self._settings, self._state, self._estimate
        begin = begin_of(settings, state)
        is_turn = now % PATIENCE_SECONDS == 0
        if now <= begin or (self._is_patient and not is_turn):
            return False
        slow_ms = 0.8 * settings.push_lag_p99_ms.fail
        if estimate.is_near_limit(now) or self._changes.share_above(slow_ms) > 0.005:
            return True
        if not 0 < self._percentage < 100:
            return False
        closed_at = begin if state.closed_at is None else state.closed_at
        exact = (1 - settings.confidence) / len(COMPARED)
        alpha, loose = (exact, 1.0) if self._is_patient else (_LOOSE_ALPHA * exact, _LOOSE_MARGIN)
        arms = estimate.arms(state, max(closed_at, now - WINDOW_SECONDS))
        if self._may_be_late(closed_at, now, alpha):
            return True
        margins = {metric: settings.margin(metric) for metric in COMPARED}
        if any(is_above(*arms[metric], loose * margins[metric], alpha) for metric in arms):
            return True
        last = begin if state.success_at is None else state.success_at
        if not is_turn or now - last < WINDOW_SECONDS:
            return False
        if 1.5 * self._world.by_side[Side.TREATED] < settings.min_samples:
            return False
        # That there is no harm is concluded from windows that are over alone.
        settled = state.evidence.arms(Tally(), 0)
        return all(is_below(*settled[metric], margins[metric], exact) for metric in COMPARED)

    def _may_be_late(self, closed_at: float, now: float, alpha: float) -> bool:
        """Whether those who stream may see changes later; first beside pollers who see all in time."""
        sums = self._changes.late(max(closed_at, now - WINDOW_SECONDS))
        late = self._state.evidence.late[Side.TREATED]
        arm = Arm(late.bad + sums[0], late.slots + sums[1])
        margin = _LOOSE_MARGIN * self._settings.margin(Metric.PUSH_LAG)
        if not is_above(arm, Arm(0.0, arm.values), margin, alpha):
            return False
        return is_above(*self._lateness(closed_at, now), margin, alpha)

    def _lateness(self, closed_at: float, now: float) -> tuple[Arm, Arm]:
        slots = min(SLOTS, math.ceil((now - closed_at) * SLOTS / WINDOW_SECONDS))
        changes = self._changes.tally(begin_of(self._settings, self._state), now)
        return self._state.evidence.arms(changes, slots)[Metric.PUSH_LAG]


class Estimate:
    """About what the guard's evidence is, from a few counters."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._failures: dict[Side, deque[tuple[float, int]]] = {side: deque() for side in world.by_side}
        self._mute: deque[float] = deque()
        self._came: Counter[Side] = Counter()

    def happened(self, at: float, what: What, caller: Caller) -> None:
        """Takes note of what happened to a caller."""
        if what is What.FAILED:
            self._failures[caller.side].append((at, caller.slot))
        elif what is What.CAME:
            self._came[caller.side] += 1
            if caller.side is Side.TREATED and caller.is_swallowed:
                self._mute.append(at + MUTE_SECONDS)

    def closed(self) -> None:
        """A window is over: its callers are in the evidence."""
        self._came.clear()

    def is_near_limit(self, now: float) -> bool:
        """Whether those who stream fare nearly as badly as no rollout may."""
        since = now - WINDOW_SECONDS
        self._forget(since)
        bad = max(self._bad(Side.TREATED, since), len(self._mute))
        return bad > 0.035 * self._world.by_side[Side.TREATED] and self._world.by_side[Side.TREATED] > 50

    def arms(self, state: GuardState, since: float) -> dict[Metric, tuple[Arm, Arm]]:
        """By metric those who stream, and those who poll, with what was since `since` in this window."""
        mute = sum(since < at for at in self._mute)
        bad = {(Metric.ERROR_RATE, side): self._bad(side, since) for side in (Side.TREATED, Side.CONTROL)} | {
            (Metric.FIRST_EVENT, Side.TREATED): mute,
            (Metric.FIRST_EVENT, Side.CONTROL): self._world.hopeless[Side.CONTROL],
            (Metric.FALLBACK_RATE, Side.TREATED): mute,
            (Metric.FALLBACK_RATE, Side.CONTROL): 0,
        }
        return {
            metric: (
                self._arm(state, metric, Side.TREATED, bad[metric, Side.TREATED]),
                self._arm(state, metric, Side.CONTROL, bad[metric, Side.CONTROL]),
            )
            for metric in OF_CALLERS
        }

    def _arm(self, state: GuardState, metric: Metric, side: Side, bad: int) -> Arm:
        known = state.evidence.callers[metric, side]
        there, came = self._world.by_side[side], self._came[side]
        count = float(max(there, len(known.windows) + came))
        # Those who were there before have a window more; those who poll are taken to fare as well as can be.
        new = min(1.0, came / max(1, there)) if known.windows else 1.0
        weight = (1 + new) / 2 if side is Side.TREATED else 0.0 if known.windows else 1.0
        return Arm(min(count, known.bad + weight * bad), count)

    def _bad(self, side: Side, since: float) -> int:
        return len({slot for at, slot in self._failures[side] if at > since})

    def _forget(self, since: float) -> None:
        for failures in self._failures.values():
            while failures and failures[0][0] <= since:
                failures.popleft()
        while self._mute and self._mute[0] <= since:
            self._mute.popleft()
