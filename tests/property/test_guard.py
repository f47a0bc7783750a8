"""The guard over any course of events, against what its rules say in plain words."""

from dataclasses import replace
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from flags.decide.guard_settings import GuardSettings, Margins
from flags.guard.callers import Side
from flags.guard.metrics import Metric
from flags.guard.verdict import (
    Action,
    Evaluation,
    GuardState,
    Kind,
    Promote,
    RollBack,
    Rollout,
    begin_of,
    evaluate,
)
from flags.guard.who import Who
from flags.guard.window import GuardWindow

WINDOW = 60
SUCCESSES = 2
SETTINGS = GuardSettings(
    min_samples=10,
    successes_to_promote=SUCCESSES,
    auto_promote=True,
    dry_run=True,
    window_seconds=WINDOW,
    margins=Margins(error_rate=0.6),
)
ROLLOUT = Rollout(streaming=True, percentage=5.0, latched=False)
UNMEASURED = frozenset(Metric) - {Metric.ERROR_RATE}


ALL = 20
"""So many callers are to stream, and as many to poll: all are answered once a second."""


class Spell(NamedTuple):
    """So many seconds, in each of which the answers to so many of those who are to stream fail."""

    seconds: int
    failing: int


GOOD = st.builds(Spell, st.integers(1, 150), st.just(0))
BAD = st.builds(Spell, st.integers(1, 60), st.integers(2, ALL))
FLICKERS = st.builds(Spell, st.integers(1, 5), st.integers(1, ALL))
COURSES = st.lists(GOOD | BAD | FLICKERS, max_size=6)


def play(course: list[Spell], dry_run: bool) -> list[Evaluation]:
    """Judges a component once a second. Without `dry_run` each action is taken, and the guard starts over."""
    settings = SETTINGS.model_copy(update={"dry_run": dry_run})
    window, state, rollout, now = GuardWindow(WINDOW), GuardState(0.0), ROLLOUT, 0
    evaluations = []
    for spell in course:
        for _ in range(spell.seconds):
            for number in range(ALL):
                has_failed = number < spell.failing
                window.polled(Who(f"s:{number}"), Side.TREATED, float(now), failed=has_failed)
                window.polled(Who(f"s:{ALL + number}"), Side.CONTROL, float(now), failed=False)
            now += 1
            tally = window.tally(begin_of(settings, state), float(now))
            evaluation = evaluate(settings, tally, state, rollout, float(now), UNMEASURED)
            evaluations.append(evaluation)
            state = evaluation.state
            if evaluation.action and not dry_run:
                state, rollout = GuardState(float(now)), after(rollout, evaluation.action)
    return evaluations


def after(rollout: Rollout, action: Action) -> Rollout:
    if isinstance(action, Promote):
        return replace(rollout, percentage=action.percentage)
    return replace(rollout, latched=True)


def failed(course: list[Spell]) -> list[bool]:
    """For each second, whether anything failed in it."""
    return [spell.failing > 0 for spell in course for _ in range(spell.seconds)]


@given(COURSES, st.booleans())
def test_nothing_is_rolled_back_that_did_not_fail_and_nothing_twice_in_one_failure(
    course: list[Spell], dry_run: bool
) -> None:
    evaluations = play(course, dry_run)

    acted = False
    for second, evaluation in enumerate(evaluations):
        if evaluation.verdict.kind is not Kind.FAIL:
            acted = acted and "if that lasts" in evaluation.verdict.sentence
        if isinstance(evaluation.action, RollBack):
            assert not acted
            acted = True
            assert evaluation.action.value > evaluation.action.threshold
            assert any(failed(course)[max(0, second - WINDOW) : second + 1])
            assert second >= WINDOW * 0.3


@given(COURSES, st.booleans())
def test_promotions_are_as_many_whole_windows_apart_as_successes_are_asked_for(
    course: list[Spell], dry_run: bool
) -> None:
    evaluations = play(course, dry_run)

    promoted = [second for second, one in enumerate(evaluations, 1) if isinstance(one.action, Promote)]
    previous = WINDOW * 0.1
    for second in promoted:
        assert second - previous >= SUCCESSES * WINDOW
        previous = second if dry_run else second + WINDOW * 0.1


@given(st.integers(0, 300), st.integers(1, 5), st.integers(0, ALL), st.integers(90, 200), st.booleans())
def test_a_spell_shorter_than_a_tenth_of_a_window_changes_nothing(
    before: int, seconds: int, failing: int, after: int, dry_run: bool
) -> None:
    course = [Spell(before, 0), Spell(seconds, failing), Spell(after, 0)]

    evaluations = play(course, dry_run)

    assert not any(isinstance(evaluation.action, RollBack) for evaluation in evaluations)
    assert all(evaluation.verdict.kind is not Kind.FAIL for evaluation in evaluations)


@given(st.integers(0, 300), st.integers(2, ALL), st.booleans())
def test_a_failure_that_goes_on_is_rolled_back_within_half_a_window(
    before: int, failing: int, dry_run: bool
) -> None:
    course = [Spell(before, 0), Spell(WINDOW // 2, failing)]

    evaluations = play(course, dry_run)

    actions = [type(one.action) for one in evaluations[before:] if one.action]
    assert actions[-1:] == [RollBack]
    assert actions.count(RollBack) == 1
