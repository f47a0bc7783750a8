"""Judges every component that has a flag, and does what the verdict says (rules: flags/guard/verdict.py)."""

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from flags.decide.decision import BY_PERCENTAGE
from flags.decide.flag import Flag, Flags
from flags.decide.guard_settings import GuardSettings
from flags.decide.stages import STREAMED
from flags.decide.targeting import OF_ONE_CALLER
from flags.guard.cohorts import Comparison
from flags.guard.evidence import Evidence
from flags.guard.metrics import Figures, Metric, figures
from flags.guard.tally import Tally
from flags.guard.verdict import (
    Action,
    Evaluation,
    GuardState,
    Kind,
    RollBack,
    Rollout,
    Verdict,
    begin_of,
    compared,
    evaluate,
)
from flags.guard.window import TENTH
from flags.store.port import FlagStore
from gateway.migration.guard_acts import Acted, GuardActs, GuardCounters
from gateway.migration.guard_sums import GuardSums, Judged, Told, judged_wire
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.poll_inventory import PollInventory
from gateway.migration.stream_evidence import StreamEvidence
from gateway.ports.clock import Clock

TICK_SECONDS = 0.25
"""How often the guard looks whether a component is due: no component is judged more often."""
EVALUATIONS_A_WINDOW = 60
"""A window is exact to a sixtieth of its length: judging more often would see the same figures."""
STANDSTILL_EVALUATIONS = 4
"""After how many evaluations that did not take place the process must have stood still."""

_OF_CLIENTS = frozenset({Metric.PUSH_LAG, Metric.FIRST_EVENT, Metric.FALLBACK_RATE})
"""What only streams can give."""


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What the guard thinks of a component at this moment, and from what.

    `action` is what it does, or in a dry run would do; None where there is nothing to do. `unmeasured` are
    the metrics that it does not look at, `comparisons` those that have a control, or None where there is
    none. `tally` is what all nodes saw. `now` is in the monotonic seconds of `state`.
    """

    flag: Flag
    verdict: Verdict
    figures: Figures
    comparisons: Sequence[Comparison] | None
    tally: Tally
    state: GuardState
    action: Action | None
    unmeasured: frozenset[Metric]
    now: float

    @property
    def is_drawn(self) -> bool:
        """Whether the percentage draws who streams."""
        return self.flag.stage in BY_PERCENTAGE


@dataclass(slots=True)
class _Watched:
    """`judged_at` is None before the first verdict; `told` is what the last dry run said, while it holds."""

    state: GuardState
    judged_at: float | None = None
    verdict: Verdict | None = None
    told: Action | None = None


class _Known(NamedTuple):
    """What a component is judged by: `own` is what this node saw, `told` what the others said."""

    flag: Flag
    kill_all: bool
    state: GuardState
    own: Tally
    told: Sequence[Told]
    now: float


class _Evaluated(NamedTuple):
    """What was found, and from which sum."""

    tally: Tally
    rollout: Rollout
    shown: Figures
    unmeasured: frozenset[Metric]
    evaluation: Evaluation


class GuardLoop:
    """The guard of all components. `compared` are those whose push is compared with another source.

    Of several nodes one judges what all of them saw (`sums`); every node keeps what it saw itself.
    `own_polls` gives how many of the gateway's own requests for a component there were, and how many failed,
    so far. `changed` must hear of every change of the flags: a change of the rollout, whoever made it, starts
    the guard over. `acted` hears of what was done: the component, the change and the reason. An action that
    the store refuses is tried again whenever it is still called for.
    """

    def __init__(
        self,
        store: FlagStore,
        windows: GuardWindows,
        evidence: StreamEvidence,
        poll_inventory: PollInventory,
        clock: Clock,
        compared: Collection[str],
        sums: GuardSums,
        own_polls: Callable[[str], tuple[int, int]] = lambda component: (0, 0),
        acted: Acted = lambda component, fields, reason: None,
    ) -> None:
        self._store = store
        self._windows = windows
        self._evidence = evidence
        self._poll_inventory = poll_inventory
        self._clock = clock
        self._compared = frozenset(compared)
        self._sums = sums
        self._own_polls = own_polls
        self._asked: dict[str, tuple[int, int]] = {}
        self._acts = GuardActs(store, clock, acted)
        self._watched: dict[str, _Watched] = {}
        self._has_led = False

    @property
    def counters(self) -> GuardCounters:
        """What it has done so far."""
        return self._acts.counters

    async def run(self) -> None:
        """Judges each component about sixty times a window, until it is cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_SECONDS)

    async def tick(self) -> None:
        """Brings the evidence up to date; on the node that judges, judges the components that are due."""
        now = self._clock.monotonic()
        self._evidence.expire(now)
        flags = self._store.snapshot()
        for component, seconds in self._evidence.take_seconds(now).items():
            flag = flags.get(component)
            self._poll_inventory.streamed(component, seconds, None if flag is None else flag.poll_interval_ms)
        for component in flags.by_component:
            self._watched.setdefault(component, _Watched(GuardState(now)))
            self._note_own_polls(component, now)
        if self._sums.leads:
            if not self._has_led:
                self._take_over(flags, now)
                self._has_led = True
            await self._judge_those_due()
        self._has_led = self._sums.leads or (self._has_led and self._sums.has_lease)

    async def _judge_those_due(self) -> None:
        # Whoever was judged longest ago comes first: where judging one raises, it keeps no other from it.
        for component in sorted(self._store.snapshot().by_component, key=self._judged_at):
            # Judging the one before may have taken a while, and the flags may be others by now.
            now, flags = self._clock.monotonic(), self._store.snapshot()
            flag = flags.get(component)
            if flag is None:
                continue
            watched = self._watched.setdefault(component, _Watched(GuardState(now)))
            if watched.judged_at is None or now - watched.judged_at >= _every(flag):
                await self._judge(flag, flags.kill_all, watched, now)

    def _judged_at(self, component: str) -> float:
        watched = self._watched.get(component)
        return -math.inf if watched is None or watched.judged_at is None else watched.judged_at

    def _take_over(self, flags: Flags, now: float) -> None:
        """Goes on where the node stopped that judged before."""
        for component, flag in flags.by_component.items():
            judged = self._judged_elsewhere(flag, flags.kill_all, self._sums.told, now)
            # Nobody has judged it since it was told.
            judged_at = None if judged is None else judged.told_at
            state = self._state_here(flag, now) if judged is None else judged.state
            self._watched[component] = _Watched(state, judged_at)

    def _state_here(self, flag: Flag, now: float) -> GuardState:
        known = self._watched.get(flag.component)
        return GuardState(now) if known is None else known.state

    async def _state_of(self, flag: Flag, kill_all: bool, now: float) -> GuardState:
        """How far the guard has come with a component, here or on the node that judges."""
        if not self._sums.leads or not self._has_led:
            told = self._sums.told
            judged = await asyncio.to_thread(self._judged_elsewhere, flag, kill_all, told, now)
            if judged is not None:
                return judged.state
        return self._state_here(flag, now)

    def _judged_elsewhere(
        self, flag: Flag, kill_all: bool, told: Sequence[Told], now: float
    ) -> Judged | None:
        """What another node said of this rollout; None where none did. May run in a thread."""
        judged = self._sums.judged(flag.component, told, now)
        return judged if judged is not None and judged.rollout == _named(flag, kill_all) else None

    def _note_own_polls(self, component: str, now: float) -> None:
        polls, failures = self._own_polls(component)
        had, had_failed = self._asked.get(component, (0, 0))
        self._asked[component] = polls, failures
        window = self._windows.of(component) if polls > had else None
        if window is not None:
            failed = max(0, min(failures - had_failed, polls - had))
            window.own_polls(polls - had - failed, failed, now)

    async def tallies(self) -> dict[str, Any]:
        """What this node saw of each component that has a flag, as JSON for the others.

        Of thousands of callers it takes milliseconds each: one at a time, and in a thread what can be.
        """
        found: dict[str, Any] = {}
        for component in tuple(self._store.snapshot().by_component):
            # The flags may be others by now.
            flag, watched = self._store.snapshot().get(component), self._watched.get(component)
            if flag is not None and watched is not None:
                tally = self._own_tally(flag, watched.state, self._clock.monotonic())
                found[component] = await asyncio.to_thread(tally.wire)
        return found

    async def judged(self) -> dict[str, Any]:
        """How far this node has come with each component, where it judges, as JSON for the one after it.

        Also at its end, when it has stopped to judge and says what it knows for the last time.
        """
        if not (self._has_led and self._sums.has_lease):
            return {}
        now, flags = self._clock.monotonic(), self._store.snapshot()
        states = {component: watched.state for component, watched in self._watched.items()}
        return {
            component: await asyncio.to_thread(
                judged_wire, _named(flag, flags.kill_all), states[component], now
            )
            for component, flag in flags.by_component.items()
            if component in states
        }

    async def by_node(self, component: str) -> Sequence[tuple[str | None, Tally]]:
        """What each node saw of a component that has a flag, with its id; None for this one."""
        flags, now = self._store.snapshot(), self._clock.monotonic()
        flag = flags.get(component)
        if flag is None:
            return []
        state = await self._state_of(flag, flags.kill_all, now)
        own, told = self._own_tally(flag, state, now), self._sums.told
        seconds, counted_seconds = flag.guard.window_seconds, now - begin_of(flag.guard, state)
        others = await asyncio.to_thread(self._sums.others, component, told, seconds, counted_seconds)
        return [(None, own), *others]

    def _own_tally(self, flag: Flag, state: GuardState, now: float) -> Tally:
        begin = begin_of(flag.guard, state)
        return self._windows[flag.component].tally(begin, now, self._evidence.streams(flag.component))

    def _sum(self, flag: Flag, state: GuardState, own: Tally, told: Sequence[Told], now: float) -> Tally:
        """What all nodes saw of the component since what counts began."""
        counted_seconds = now - begin_of(flag.guard, state)
        return self._sums.tally(flag.component, own, told, flag.guard.window_seconds, counted_seconds)

    def changed(self, before: Flags, after: Flags) -> None:
        """The flags have changed. For FlagStore.subscribe."""
        now = self._clock.monotonic()
        for component in {*before.by_component, *after.by_component}:
            had, has = before.get(component), after.get(component)
            if had is None:
                # What was polled before there was something to judge is no evidence.
                self._asked[component] = self._own_polls(component)
            if has is None:
                self._watched.pop(component, None)
            elif had is None or _standing(had, before.kill_all) != _standing(has, after.kill_all):
                self._watched[component] = _Watched(GuardState(now))
            elif had.guard != has.guard:
                state = self._state_here(has, now)
                self._watched[component] = _Watched(_judged_anew(state, had.guard, has.guard, now))

    def verdicts(self) -> dict[str, Kind]:
        """The last verdict on each component that was judged here."""
        if not self._sums.leads:
            return {}
        return {
            component: watched.verdict.kind
            for component, watched in self._watched.items()
            if watched.verdict is not None
        }

    async def report(self, component: str) -> GuardReport | None:
        """What the guard would find now; nothing is done about it. None where there is no flag."""
        flags, now = self._store.snapshot(), self._clock.monotonic()
        flag = flags.get(component)
        if flag is None:
            return None
        state = await self._state_of(flag, flags.kill_all, now)
        return await asyncio.to_thread(self._report, self._known(flag, flags.kill_all, state, now))

    def _report(self, known: _Known) -> GuardReport:
        flag, now = known.flag, known.now
        tally, rollout, shown, unmeasured, found = self._evaluate(known)
        watched = self._watched.get(flag.component)
        said = None if watched is None else _still(watched.told, found.verdict)
        comparisons = None if rollout.latched else compared(flag.guard, tally, found.state, rollout, now)
        return GuardReport(
            flag,
            found.verdict,
            shown,
            comparisons,
            tally,
            found.state,
            found.action or said,
            unmeasured,
            now,
        )

    async def _judge(self, flag: Flag, kill_all: bool, watched: _Watched, now: float) -> None:
        longest = max(TENTH * flag.guard.window_seconds, STANDSTILL_EVALUATIONS * _every(flag))
        if watched.judged_at is not None and now - watched.judged_at > longest:
            # A failure has to last at every evaluation in between, and there were none: the process stood.
            watched.state = replace(watched.state, failing_since=None)
        watched.judged_at = now
        self.counters.evaluations += 1
        known = self._known(flag, kill_all, watched.state, now)
        # Thousands of callers take some hundred milliseconds, in which every stream would wait.
        found = (await asyncio.to_thread(self._evaluate, known)).evaluation
        if not self._sums.leads:
            return
        watched.verdict = found.verdict
        watched.told = _still(watched.told, found.verdict)
        if found.action is None:
            watched.state = found.state
        elif found.action.dry_run:
            watched.state, watched.told = found.state, found.action
            self._acts.tell_of(flag, found.action)
        elif await self._acts.carry_out(flag, found.action):
            watched.state = found.state

    def _known(self, flag: Flag, kill_all: bool, state: GuardState, now: float) -> _Known:
        return _Known(flag, kill_all, state, self._own_tally(flag, state, now), self._sums.told, now)

    def _evaluate(self, known: _Known) -> _Evaluated:
        """Judges the sum. May run in a thread."""
        flag, state, now = known.flag, known.state, known.now
        tally = self._sum(flag, state, known.own, known.told, now)
        rollout = _rollout(flag, known.kill_all)
        shown = _figures(flag, tally, rollout)
        unmeasured = self._unmeasured(flag, rollout, shown, tally)
        evaluation = evaluate(flag.guard, tally, state, rollout, now, unmeasured)
        return _Evaluated(tally, rollout, shown, unmeasured, evaluation)

    def _unmeasured(self, flag: Flag, rollout: Rollout, shown: Figures, tally: Tally) -> frozenset[Metric]:
        """The metrics that this component can't have now.

        Where streams are let in and none is open, reports of clients that got none still count. Where the
        percentage draws who streams, a promotion waits for them: polls alone say nothing of push.
        """
        unmeasured = set()
        if flag.component not in self._compared:
            unmeasured.add(Metric.CONSISTENCY)
        if not rollout.streaming:
            unmeasured |= _OF_CLIENTS
        elif not tally.streams:
            optional = _OF_CLIENTS if rollout.percentage in (None, 0, 100) else {Metric.PUSH_LAG}
            unmeasured |= {metric for metric in optional if not shown.by_metric[metric].samples}
        return frozenset(unmeasured)


def _every(flag: Flag) -> float:
    """The seconds between two evaluations."""
    return max(TICK_SECONDS, flag.guard.window_seconds / EVALUATIONS_A_WINDOW)


def _rollout(flag: Flag, kill_all: bool) -> Rollout:
    """Where the component stands. While a kill switch is on, nobody streams and there is no next step."""
    killed = flag.killed or kill_all
    return Rollout(
        streaming=flag.stage in STREAMED and not killed,
        percentage=flag.percentage if flag.stage in BY_PERCENTAGE and not killed else None,
        latched=flag.latch is not None,
        draws_callers=flag.stickiness in OF_ONE_CALLER,
    )


def _judged_anew(state: GuardState, had: GuardSettings, has: GuardSettings, now: float) -> GuardState:
    """What was found by other thresholds is not gone on with. The evidence is what it was, as far as it is of
    the same windows and the same lateness."""
    if had.window_seconds != has.window_seconds:
        return GuardState(state.changed_at, closed_at=now)
    evidence = state.evidence
    if had.fresh_ms != has.fresh_ms:
        evidence = replace(evidence, late=Evidence().late)
    return replace(state, successes=0, success_at=None, failing_since=None, acted=False, evidence=evidence)


def _figures(flag: Flag, tally: Tally, rollout: Rollout) -> Figures:
    return figures(
        tally, is_streaming=rollout.is_of_streams(tally), trusts_timestamps=flag.guard.trust_timestamps
    )


def _named(flag: Flag, kill_all: bool) -> str:
    """Which rollout it is that was judged, for other nodes."""
    stage, percentage, latch, *others = _standing(flag, kill_all)
    return repr((str(stage), percentage, latch is not None, *others))


def _standing(flag: Flag, kill_all: bool) -> tuple[object, ...]:
    """What is another rollout when it changes: clients come and go, or are drawn anew, because of that.

    Not the targeting: whom a rule decides on is drawn by nothing, and was no evidence.
    """
    return flag.stage, flag.percentage, flag.latch, flag.killed or kill_all, flag.group, flag.stickiness


def _still(told: Action | None, verdict: Verdict) -> Action | None:
    """What a dry run said, as long as the verdict that it was said for stands."""
    wanted = Kind.FAIL if isinstance(told, RollBack) else Kind.PROMOTE
    return told if verdict.kind is wanted else None
