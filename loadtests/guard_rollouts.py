"""Simulated rollouts, one after another or on several processes: the same outcomes either way."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from flags.decide.guard_settings import GuardSettings, Margins
from flags.guard import verdict
from flags.guard.cohorts import Comparison
from loadtests.guard_before import FixedThresholds
from loadtests.guard_judges import EVERY_SECONDS, NO_DECISION, Changes, Decision, Judge, RealGuard
from loadtests.guard_world import Habits, World

AT_THE_END_SECONDS = 900.0
"""How long a rollout is still watched at 100 %."""


USUAL, DEFAULT = Habits(), Margins()


class End(Enum):
    """How a rollout ended."""

    ROLLED_BACK = "rolled back"
    PROMOTED = "promoted"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rollouts of one kind. They take turns with `callers` and with `polls`, seconds between two polls.

    With `is_one_step` a rollout is over with its first promotion. Without `is_now` the fixed thresholds of
    before judge it. `room` is how much of the guard's table a side may take.
    """

    name: str
    callers: tuple[int, ...] = (20_000,)
    polls: tuple[float, ...] = (5.0,)
    habits: Habits = field(default=USUAL)
    margins: Margins = field(default=DEFAULT)
    min_samples: int = 100
    percentage: float = 1.0
    hours: float = 8.0
    is_one_step: bool = False
    is_now: bool = True
    room: float = 0.8

    @property
    def is_harmful(self) -> bool:
        """Whether those who stream fare worse."""
        mine = self.habits
        return mine.harm > 0 or mine.lag_ms > USUAL.lag_ms or mine.swallowed > USUAL.swallowed

    @property
    def settings(self) -> GuardSettings:
        """The defaults, but that the guard acts."""
        return GuardSettings(
            auto_promote=True, dry_run=False, margins=self.margins, min_samples=self.min_samples
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a rollout of so many callers went. `on` is how many of those who stream a decision rested on.

    `percentage` is where it stood, `by_limit` whether an absolute limit took it back, `strikes` how often
    harm struck, `wanted` about how many callers more a decision would have taken, where it waits.
    """

    callers: int
    end: End
    minutes: float
    percentage: float
    on: int = 0
    metric: str = ""
    by_limit: bool = False
    strikes: int = 0
    evaluations: int = 0
    wanted: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One rollout: the scenario, its number in it, and the seed of all."""

    scenario: Scenario
    number: int
    seed: int
    is_thorough: bool = field(default=False)


def simulate(task: Task) -> Outcome:
    """Runs one rollout to its end."""
    scenario = task.scenario
    callers = scenario.callers[task.number % len(scenario.callers)]
    turn = task.number // len(scenario.callers)
    habits = replace(scenario.habits, poll_seconds=scenario.polls[turn % len(scenario.polls)])
    seed = f"{task.seed} {callers} {task.number}"
    world = World(habits, callers, scenario.percentage, seed, scenario.room)
    changes = Changes(habits, seed)
    judge: Judge = (
        RealGuard(
            scenario.settings,
            world,
            changes,
            is_thorough=task.is_thorough,
            is_patient=scenario.is_harmful,
        )
        if scenario.is_now
        else FixedThresholds(scenario.settings, world, changes)
    )
    return _run(scenario, world, judge, callers)


def _run(scenario: Scenario, world: World, judge: Judge, callers: int) -> Outcome:
    percentage, now, until = scenario.percentage, 0.0, scenario.hours * 3600
    _settle(world, judge, percentage, now)

    def outcome(end: End, decision: Decision = NO_DECISION, wanted: int | None = None) -> Outcome:
        on, metric, by_limit = decision.callers, decision.metric, decision.by_limit
        done = judge.evaluations
        return Outcome(callers, end, now / 60, percentage, on, metric, by_limit, world.strikes, done, wanted)

    while now < until:
        now += EVERY_SECONDS
        for at, what, caller in world.advance(now):
            judge.happened(at, what, caller)
        decision = judge.judge(now)
        if decision is None:
            continue
        if decision.percentage is None:
            return outcome(End.ROLLED_BACK, decision)
        if scenario.is_one_step:
            return outcome(End.PROMOTED, decision)
        percentage = decision.percentage
        if percentage == 100:
            until = now + AT_THE_END_SECONDS
        _settle(world, judge, percentage, now)
    if percentage == 100:
        return outcome(End.PROMOTED)
    return outcome(End.WAITS, wanted=judge.wanted(now))


def _settle(world: World, judge: Judge, percentage: float, now: float) -> None:
    happened = world.settle(percentage, now)
    judge.settle(percentage, now)
    for what, caller in happened:
        judge.happened(now, what, caller)


def run(tasks: Sequence[Task], processes: int, tick: Callable[[int], None]) -> list[Outcome]:
    """All outcomes, in the order of the tasks. `tick` hears at least every 2 s how many there are."""
    outcomes: list[Outcome] = []
    for outcome in _outcomes(tasks, processes, lambda: tick(len(outcomes))):
        outcomes.append(outcome)
        tick(len(outcomes))
    return outcomes


def _outcomes(tasks: Sequence[Task], processes: int, waiting: Callable[[], None]) -> Iterator[Outcome]:
    # A process of its own even for one: so that progress is told while a rollout takes long.
    with multiprocessing.get_context("spawn").Pool(processes, _without_sentences) as pool:
        coming = pool.imap(simulate, tasks)
        for _ in tasks:
            while True:
                try:
                    yield coming.next(timeout=1.0)
                    break
                except multiprocessing.TimeoutError:
                    waiting()


def _without_sentences() -> None:
    """For a process of its own: what a verdict says to people decides nothing, and takes most of its time."""
    vars(verdict).update(beside=_nothing, side_by_side=_nothing)


def _nothing(comparison: Comparison) -> str:
    return ""
