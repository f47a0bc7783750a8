"""The guard over any course of events, against what its rules say in plain words."""

from dataclasses import replace
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from flags.decide.guard_settings import GuardSettings
from flags.guard.verdict import Action, Evaluation, GuardState, Kind, Promote, RollBack, Rollout, evaluate
from flags.guard.window import GuardWindow, Metric

WINDOW = 60
SUCCESSES = 2
SETTINGS = GuardSettings(
    min_samples=10, successes_to_promote=SUCCESSES, auto_promote=True, dry_run=True, window_seconds=WINDOW
)
ROLLOUT = Rollout(streaming=True, percentage=5.0, latched=False)
UNMEASURED = frozenset(Metric) - {Metric.ERROR_RATE}


class Spell(NamedTuple):
    """So many seconds, with so much going well and wrong in each."""

    seconds: int
    succeeded: int
    failed: int


GOOD = st.builds(Spell, st.integers(1, 200), st.just(50), st.just(0))
BAD = st.builds(Spell, st.integers(1, 60), st.just(50), st.integers(5, 50))
FLICKERS = st.builds(Spell, st.integers(1, 5), st.just(0), st.integers(1, 200))
SILENT = st.builds(Spell, st.integers(1, 100), st.just(0), st.just(0))
COURSES = st.lists(GOOD | BAD | FLICKERS | SILENT, max_size=8)


def play(course: list[Spell], dry_run: bool) -> list[Evaluation]:
    """Judges a component once a second. Without `dry_run` each action is taken, and the guard starts over."""
    settings = SETTINGS.model_copy(update={"dry_run": dry_run})
    window, state, rollout, now = GuardWindow(WINDOW), GuardState(0.0), ROLLOUT, 0
    evaluations = []
    for spell in course:
        for _ in range(spell.seconds):
            window.served(spell.succeeded, spell.failed, float(now))
            now += 1
            evaluation = evaluate(settings, window, state, rollout, float(now), UNMEASURED)
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
    return [spell.failed > 0 for spell in course for _ in range(spell.seconds)]


def errors_looked_at(course: list[Spell], changed: int, second: int) -> float:
    """The share of errors in what is judged after `second` seconds, with the last change at `changed`."""
    begin = max(changed + WINDOW // 10, second - WINDOW + 1)
    looked_at = [spell for spell in course for _ in range(spell.seconds)][begin:second]
    errors = sum(spell.failed for spell in looked_at)
    return errors / (errors + sum(spell.succeeded for spell in looked_at))


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


@example(before=245, failures=10, dry_run=True)
@given(st.integers(60, 300), st.integers(0, 20), st.booleans())
def test_what_a_promotion_rests_on_is_good_enough(before: int, failures: int, dry_run: bool) -> None:
    course = [Spell(before, 20, 0), Spell(WINDOW, 20, failures)]

    changed = 0
    for second, evaluation in enumerate(play(course, dry_run), 1):
        if isinstance(evaluation.action, Promote):
            assert errors_looked_at(course, changed, second) <= SETTINGS.error_rate.promote
            changed = changed if dry_run else second


@given(st.integers(0, 300), st.integers(1, 5), st.integers(0, 500), st.integers(90, 200), st.booleans())
def test_a_spell_shorter_than_a_tenth_of_a_window_changes_nothing(
    before: int, seconds: int, failures: int, after: int, dry_run: bool
) -> None:
    course = [Spell(before, 50, 0), Spell(seconds, 0, failures), Spell(after, 50, 0)]

    evaluations = play(course, dry_run)

    assert not any(isinstance(evaluation.action, RollBack) for evaluation in evaluations)
    assert all(evaluation.verdict.kind is not Kind.FAIL for evaluation in evaluations)


# A row's last success comes in the first second of the failure: the window as a whole is still good enough.
@example(before=245, failures=10, dry_run=True)
@example(before=251, failures=10, dry_run=False)
@given(st.integers(0, 300), st.integers(10, 200), st.booleans())
def test_a_failure_that_goes_on_is_rolled_back_within_half_a_window(
    before: int, failures: int, dry_run: bool
) -> None:
    course = [Spell(before, 20, 0), Spell(WINDOW // 2, 20, failures)]

    evaluations = play(course, dry_run)

    actions = [type(one.action) for one in evaluations[before:] if one.action]
    assert actions[-1:] == [RollBack]
    assert actions.count(RollBack) == 1
