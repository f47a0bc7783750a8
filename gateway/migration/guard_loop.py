"""Judges every component that has a flag, and does what the verdict says (rules: flags/guard/verdict.py)."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flags.decide.decision import BY_PERCENTAGE
from flags.decide.flag import Flag, Flags
from flags.decide.stages import STREAMED
from flags.errors import FlagError
from flags.guard.verdict import (
    TENTH,
    Action,
    Evaluation,
    GuardState,
    Kind,
    RollBack,
    Rollout,
    Verdict,
    evaluate,
)
from flags.guard.window import Figures, Metric
from flags.store.port import FlagStore
from gateway.core.times import rfc3339
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.poll_inventory import PollInventory
from gateway.migration.stream_evidence import StreamEvidence
from gateway.ports.clock import Clock
from gateway.runtime.logs import log_event
from gateway.runtime.outage import REMINDER_SECONDS

_log = logging.getLogger(__name__)

WHO = "guard"
"""Who made the change, in the audit trail."""

TICK_SECONDS = 0.25
"""How often the guard looks whether a component is due: no component is judged more often."""
EVALUATIONS_A_WINDOW = 60
"""A window is exact to a sixtieth of its length: judging more often would see the same figures."""
STANDSTILL_EVALUATIONS = 4
"""After how many evaluations that did not take place the process must have stood still."""

Acted = Callable[[str, Mapping[str, Any], str], None]

_OF_CLIENTS = frozenset({Metric.PUSH_LAG, Metric.FIRST_EVENT, Metric.FALLBACK_RATE})
"""What only streams can give."""


@dataclass(slots=True)
class GuardCounters:
    """What the guard has done since the process began, by component.

    `refused` are actions that the store did not take, each time; `dry_runs` those that it was only to tell.
    `evaluations` are those of all components.
    """

    evaluations: int = 0
    rollbacks: Counter[str] = field(default_factory=Counter)
    promotions: Counter[str] = field(default_factory=Counter)
    dry_runs: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What the guard thinks of a component at this moment, and from what.

    `action` is what it does, or in a dry run would do; None where there is nothing to do. `unmeasured` are
    the metrics that it does not look at. `now` is in the monotonic seconds of `state`.
    """

    flag: Flag
    verdict: Verdict
    figures: Figures
    state: GuardState
    action: Action | None
    unmeasured: frozenset[Metric]
    now: float


@dataclass(slots=True)
class _Watched:
    """`judged_at` is None before the first verdict; `told` is what the last dry run said, while it holds.

    `refusal_told_at` is when a line last said that the store did not take an action.
    """

    state: GuardState
    judged_at: float | None = None
    verdict: Verdict | None = None
    told: Action | None = None
    refusal_told_at: float = -math.inf


class GuardLoop:
    """The guard of all components. `compared` are those whose push is compared with another source.

    `changed` must hear of every change of the flags: a change of the rollout, whoever made it, starts the
    guard over. `acted` hears of what was done: the component, the change and
    the reason. An action that the store refuses is tried again whenever it is still called for.
    """

    def __init__(
        self,
        store: FlagStore,
        windows: GuardWindows,
        evidence: StreamEvidence,
        poll_inventory: PollInventory,
        clock: Clock,
        compared: Collection[str],
        acted: Acted = lambda component, fields, reason: None,
    ) -> None:
        self._store = store
        self._windows = windows
        self._evidence = evidence
        self._poll_inventory = poll_inventory
        self._clock = clock
        self._compared = frozenset(compared)
        self._acted = acted
        self._watched: dict[str, _Watched] = {}
        self.counters = GuardCounters()

    async def run(self) -> None:
        """Judges each component about sixty times a window, until it is cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_SECONDS)

    async def tick(self) -> None:
        """Brings the evidence up to date, and judges the components that are due."""
        now = self._clock.monotonic()
        self._evidence.expire(now)
        flags = self._store.snapshot()
        for component, seconds in self._evidence.take_seconds(now).items():
            flag = flags.get(component)
            self._poll_inventory.streamed(component, seconds, None if flag is None else flag.poll_interval_ms)
        for component in tuple(flags.by_component):
            # Judging the one before may have taken a while, and the flags may be others by now.
            flags = self._store.snapshot()
            flag = flags.get(component)
            if flag is None:
                continue
            watched = self._watched.setdefault(component, _Watched(GuardState(now)))
            if watched.judged_at is None or now - watched.judged_at >= _every(flag):
                await self._judge(flag, flags.kill_all, watched, now)

    def changed(self, before: Flags, after: Flags) -> None:
        """The flags have changed. For FlagStore.subscribe."""
        now = self._clock.monotonic()
        for component in {*before.by_component, *after.by_component}:
            had, has = before.get(component), after.get(component)
            if has is None:
                self._watched.pop(component, None)
            elif had is None or _standing(had, before.kill_all) != _standing(has, after.kill_all):
                self._watched[component] = _Watched(GuardState(now))
            elif had.guard != has.guard:
                # What was found by other thresholds is not gone on with; the evidence is what it was.
                watched = self._watched.get(component)
                since = now if watched is None else watched.state.changed_at
                self._watched[component] = _Watched(GuardState(since))

    def verdicts(self) -> dict[str, Kind]:
        """The last verdict on each component that was judged."""
        return {
            component: watched.verdict.kind
            for component, watched in self._watched.items()
            if watched.verdict is not None
        }

    def report(self, component: str) -> GuardReport | None:
        """What the guard would find now; nothing is done about it. None where there is no flag."""
        flags = self._store.snapshot()
        flag = flags.get(component)
        if flag is None:
            return None
        now = self._clock.monotonic()
        watched = self._watched.get(component) or _Watched(GuardState(now))
        window = self._windows[component]
        figures = window.figures(watched.state.changed_at + TENTH * window.seconds, now)
        found = self._evaluate(flag, flags.kill_all, watched.state, now)
        return GuardReport(
            flag,
            found.verdict,
            figures,
            found.state,
            found.action or _still(watched.told, found.verdict),
            self._unmeasured(flag, flags.kill_all, figures),
            now,
        )

    async def _judge(self, flag: Flag, kill_all: bool, watched: _Watched, now: float) -> None:
        window = self._windows[flag.component]
        longest = max(TENTH * window.seconds, STANDSTILL_EVALUATIONS * _every(flag))
        if watched.judged_at is not None and now - watched.judged_at > longest:
            # A failure has to last at every evaluation in between, and there were none: the process stood.
            watched.state = replace(watched.state, failing_since=None)
        watched.judged_at = now
        self.counters.evaluations += 1
        found = self._evaluate(flag, kill_all, watched.state, now)
        watched.verdict = found.verdict
        watched.told = _still(watched.told, found.verdict)
        if found.action is None:
            watched.state = found.state
        elif found.action.dry_run:
            watched.state, watched.told = found.state, found.action
            self.counters.dry_runs[flag.component] += 1
            _tell(logging.WARNING, "guard_dry_run", flag, found.action)
        elif await self._act(flag, found.action, watched):
            watched.state = found.state

    def _evaluate(self, flag: Flag, kill_all: bool, state: GuardState, now: float) -> Evaluation:
        window = self._windows[flag.component]
        figures = window.figures(state.changed_at + TENTH * window.seconds, now)
        unmeasured = self._unmeasured(flag, kill_all, figures)
        return evaluate(flag.guard, window, state, _rollout(flag, kill_all), now, unmeasured)

    def _unmeasured(self, flag: Flag, kill_all: bool, figures: Figures) -> frozenset[Metric]:
        """The metrics that this component can't have now.

        Where streams are let in and none is open, reports of clients that got none still count.
        """
        unmeasured = set()
        if flag.component not in self._compared:
            unmeasured.add(Metric.CONSISTENCY)
        if not self._evidence.hears_all:
            unmeasured.add(Metric.FIRST_EVENT)
        if not _rollout(flag, kill_all).streaming:
            unmeasured |= _OF_CLIENTS
        elif not self._evidence.streams(flag.component):
            unmeasured |= {metric for metric in _OF_CLIENTS if not figures.by_metric[metric].samples}
        return frozenset(unmeasured)

    async def _act(self, flag: Flag, action: Action, watched: _Watched) -> bool:
        """Changes the flag, if it is still the one that was judged; says whether the store took it."""
        if isinstance(action, RollBack):
            fields: dict[str, Any] = {"latch": self._latch(action)}
            reason = f"automatic rollback: {action.reason}"
        else:
            fields = {"percentage": action.percentage}
            reason = f"promotion from {flag.percentage:g} % to {action.percentage:g} %: {action.reason}"
        try:
            await self._store.change(
                flag.component, fields, expected_revision=flag.revision, who=WHO, reason=reason
            )
        except FlagError as error:
            self.counters.refused[flag.component] += 1
            now = self._clock.monotonic()
            if now - watched.refusal_told_at >= REMINDER_SECONDS:
                watched.refusal_told_at = now
                _tell(logging.ERROR, "guard_refused", flag, action, error=error.detail)
            return False
        self._acted(flag.component, fields, reason)
        if isinstance(action, RollBack):
            self.counters.rollbacks[flag.component] += 1
            _tell(logging.WARNING, "guard_rolled_back", flag, action)
        else:
            self.counters.promotions[flag.component] += 1
            _tell(logging.INFO, "guard_promoted", flag, action)
        return True

    def _latch(self, action: RollBack) -> dict[str, Any]:
        return {
            "at": rfc3339(self._clock.wall_ms()),
            "metric": action.metric.value,
            "value": action.value,
            "threshold": action.threshold,
            "reason": action.reason,
        }


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
    )


def _standing(flag: Flag, kill_all: bool) -> tuple[object, ...]:
    """What is another rollout when it changes: clients come and go because of that."""
    return flag.stage, flag.percentage, flag.latch, flag.killed or kill_all


def _still(told: Action | None, verdict: Verdict) -> Action | None:
    """What a dry run said, as long as the verdict that it was said for stands."""
    wanted = Kind.FAIL if isinstance(told, RollBack) else Kind.PROMOTE
    return told if verdict.kind is wanted else None


def _tell(level: int, event: str, flag: Flag, action: Action, **fields: object) -> None:
    if isinstance(action, RollBack):
        what: dict[str, object] = {
            "action": "roll_back",
            "metric": action.metric,
            "value": action.value,
            "threshold": action.threshold,
        }
    else:
        what = {"action": "promote", "percentage": action.percentage}
    log_event(_log, level, event, component=flag.component, **what, reason=action.reason, **fields)
