"""The guard's verdicts: when a rollout goes on, when it goes back, and when neither."""

from collections.abc import Callable
from typing import Any

import pytest

from flags.decide.guard_settings import GuardSettings
from flags.guard.verdict import Evaluation, GuardState, Kind, Promote, RollBack, Rollout, evaluate, next_step
from flags.guard.window import GuardWindow, Metric
from flags.parity.report import Tally

WINDOW = 60.0
LIVE = Rollout(streaming=True, percentage=5.0, latched=False)
ALL = frozenset(Metric)
ONLY_ERRORS = ALL - {Metric.ERROR_RATE}
ONLY_CONSISTENCY = ALL - {Metric.CONSISTENCY}


class Guarded:
    """A component that is evaluated every second, from a change at 0 on."""

    def __init__(
        self, rollout: Rollout = LIVE, unmeasured: frozenset[Metric] = ONLY_ERRORS, **given: Any
    ) -> None:
        self.settings = GuardSettings(**({"min_samples": 10, "dry_run": False, "auto_promote": True} | given))
        self.window = GuardWindow(WINDOW)
        self.rollout = rollout
        self.unmeasured = unmeasured
        self.state = GuardState(0.0)
        self.now = 0

    def second(self) -> Evaluation:
        """Evaluates, a second after the last time."""
        self.now += 1
        evaluation = evaluate(
            self.settings, self.window, self.state, self.rollout, float(self.now), self.unmeasured
        )
        self.state = evaluation.state
        return evaluation

    def run(
        self, seconds: int, happens: Callable[["Guarded"], None] = lambda guarded: None
    ) -> list[Evaluation]:
        """So many seconds, in each of which this happens."""
        evaluations = []
        for _ in range(seconds):
            happens(self)
            evaluations.append(self.second())
        return evaluations


def good(guarded: Guarded) -> None:
    guarded.window.served(100, 0, float(guarded.now))


def bad(guarded: Guarded) -> None:
    guarded.window.served(50, 50, float(guarded.now))


def middling(guarded: Guarded) -> None:
    guarded.window.served(97, 3, float(guarded.now))


def actions(evaluations: list[Evaluation]) -> list[Promote | RollBack]:
    return [evaluation.action for evaluation in evaluations if evaluation.action is not None]


def test_a_lasting_failure_rolls_back_and_names_the_figure() -> None:
    guarded = Guarded()

    evaluations = guarded.run(30, bad)

    assert actions(evaluations) == [
        RollBack(
            metric=Metric.ERROR_RATE,
            value=0.5,
            threshold=0.05,
            reason="errorRate is 50 % over 1300 samples, above 5 %.",
            dry_run=False,
        )
    ]
    assert evaluations[-1].verdict.kind is Kind.FAIL


def test_a_failure_is_held_until_it_has_lasted_a_fifth_of_a_window() -> None:
    guarded = Guarded()

    kinds = [evaluation.verdict.kind for evaluation in guarded.run(25, bad)]

    first = kinds.index(Kind.HOLD)
    assert kinds[first:] == [Kind.HOLD] * 12 + [Kind.FAIL] * (len(kinds) - first - 12)


def test_one_bad_second_after_a_change_does_nothing() -> None:
    guarded = Guarded()

    guarded.run(1, bad)
    evaluations = guarded.run(90, good)

    assert actions(evaluations) == []
    assert Kind.FAIL not in {evaluation.verdict.kind for evaluation in evaluations}


def test_one_bad_second_long_after_a_change_does_nothing_either() -> None:
    guarded = Guarded(auto_promote=False)

    guarded.run(20, good)
    guarded.run(1, lambda one: one.window.served(0, 5000, float(one.now)))
    evaluations = guarded.run(70, good)

    assert actions(evaluations) == []
    assert Kind.FAIL not in {evaluation.verdict.kind for evaluation in evaluations}


def test_a_few_good_samples_do_not_excuse_a_failure() -> None:
    guarded = Guarded()

    guarded.run(12, bad)
    evaluations = guarded.run(12, lambda one: one.window.served(1, 0, float(one.now)))

    assert [type(action) for action in actions(evaluations)] == [RollBack]


def test_a_failure_between_good_spells_starts_over_each_time() -> None:
    guarded = Guarded(auto_promote=False)
    guarded.run(10, good)

    for _ in range(5):
        evaluations = guarded.run(4, lambda one: one.window.served(0, 1000, float(one.now)))
        assert "if that lasts" in evaluations[-1].verdict.sentence
        assert actions(guarded.run(55, good)) == []


def test_what_happened_before_the_change_is_not_looked_at() -> None:
    guarded = Guarded()
    guarded.run(40, bad)

    guarded.state = GuardState(float(guarded.now))
    evaluations = guarded.run(60, good)

    assert Kind.HOLD not in {evaluation.verdict.kind for evaluation in evaluations}
    assert actions(evaluations) == []


def test_a_latched_component_is_not_judged() -> None:
    guarded = Guarded(rollout=Rollout(streaming=True, percentage=5.0, latched=True))

    evaluations = guarded.run(30, bad)

    assert {evaluation.verdict.kind for evaluation in evaluations} == {Kind.HOLD}
    assert actions(evaluations) == []


def test_a_dry_run_says_once_what_it_would_do() -> None:
    guarded = Guarded(dry_run=True)

    (action,) = actions(guarded.run(60, bad))

    assert isinstance(action, RollBack)
    assert action.dry_run


def test_an_action_that_could_not_be_carried_out_is_given_again() -> None:
    guarded = Guarded()
    guarded.run(18, bad)

    before = guarded.state
    first = guarded.second()
    guarded.state = before
    again = guarded.second()

    assert first.action is not None
    assert again.action is not None


def test_where_nobody_streams_there_is_nothing_to_roll_back() -> None:
    guarded = Guarded(rollout=Rollout(streaming=False, percentage=None, latched=False))

    evaluations = guarded.run(30, bad)

    assert evaluations[-1].verdict.kind is Kind.FAIL
    assert actions(evaluations) == []


def test_successes_a_window_apart_promote_to_the_next_step() -> None:
    guarded = Guarded(successes_to_promote=3)

    evaluations = guarded.run(300, good)

    (action,) = actions(evaluations[:200])
    assert isinstance(action, Promote)
    assert (action.percentage, action.dry_run) == (10.0, False)
    assert "3 of 3" in action.reason
    # A tenth of a window is not looked at, then come three whole ones.
    assert evaluations.index(next(one for one in evaluations if one.action)) + 1 == 6 + 3 * 60


def test_promotion_is_off_by_default() -> None:
    guarded = Guarded(auto_promote=GuardSettings().auto_promote, successes_to_promote=1)

    evaluations = guarded.run(200, good)

    assert evaluations[-1].verdict.kind is Kind.PROMOTE
    assert actions(evaluations) == []


def test_a_figure_between_the_thresholds_holds_and_ends_the_row() -> None:
    guarded = Guarded(successes_to_promote=2)

    guarded.run(100, good)
    assert guarded.state.successes == 1
    evaluations = guarded.run(60, middling)

    assert evaluations[-1].verdict.kind is Kind.HOLD
    assert evaluations[-1].verdict.metric is Metric.ERROR_RATE
    assert guarded.state.successes == 0
    assert actions(evaluations) == []


def test_no_traffic_is_neither_a_success_nor_a_failure() -> None:
    guarded = Guarded(unmeasured=frozenset())

    evaluations = guarded.run(200)

    assert {evaluation.verdict.kind for evaluation in evaluations} == {Kind.NO_DATA}
    assert guarded.state == GuardState(0.0)


def test_a_quiet_night_does_not_end_a_row_of_successes() -> None:
    guarded = Guarded(successes_to_promote=10)
    guarded.run(100, good)
    guarded.run(70)

    before = guarded.state.successes
    quiet = guarded.run(500)
    guarded.run(1, good)

    assert {evaluation.verdict.kind for evaluation in quiet} == {Kind.NO_DATA}
    assert guarded.state.successes == before + 1


def test_too_few_samples_are_inconclusive() -> None:
    guarded = Guarded(min_samples=100)

    evaluations = guarded.run(60, lambda one: one.window.served(0, 1, float(one.now)))

    assert evaluations[-1].verdict.kind is Kind.INCONCLUSIVE
    assert actions(evaluations) == []


def test_a_metric_without_data_beside_good_ones_leaves_the_whole_undecided() -> None:
    guarded = Guarded(unmeasured=frozenset())

    evaluations = guarded.run(200, good)

    assert evaluations[-1].verdict.kind is Kind.INCONCLUSIVE
    assert evaluations[-1].verdict.metric is Metric.CONSISTENCY
    assert actions(evaluations) == []


def test_a_metric_that_fails_counts_whatever_the_others_lack() -> None:
    guarded = Guarded(unmeasured=frozenset())

    assert [type(action) for action in actions(guarded.run(30, bad))] == [RollBack]


def test_differences_in_which_polling_disagrees_with_itself_are_inconclusive() -> None:
    guarded = Guarded(unmeasured=ONLY_CONSISTENCY)

    evaluations = guarded.run(
        60, lambda one: one.window.compared(Tally(agreed=90, differed=10, noisy=10), float(one.now))
    )

    assert evaluations[-1].verdict.kind is Kind.INCONCLUSIVE
    assert "polling disagrees with itself" in evaluations[-1].verdict.sentence


def test_differences_beyond_the_noise_fail() -> None:
    guarded = Guarded(unmeasured=ONLY_CONSISTENCY)

    evaluations = guarded.run(
        60, lambda one: one.window.compared(Tally(agreed=80, differed=20, noisy=10), float(one.now))
    )

    (action,) = actions(evaluations)
    assert isinstance(action, RollBack)
    assert (action.metric, action.value) == (Metric.CONSISTENCY, 0.8)


def test_slow_push_fails_by_its_ninety_ninth_percentile() -> None:
    guarded = Guarded(unmeasured=ALL - {Metric.PUSH_LAG})

    evaluations = guarded.run(
        30, lambda one: [one.window.pushed(lag, float(one.now)) for lag in [10.0] * 9 + [9000.0]] and None
    )

    (action,) = actions(evaluations)
    assert isinstance(action, RollBack)
    assert action.metric is Metric.PUSH_LAG
    assert action.value == pytest.approx(9000, rel=0.05)
    assert repr(action.threshold) == "5000.0"
    assert action.reason.endswith("above 5000 ms.")


@pytest.mark.parametrize(
    ("percentage", "step"), [(0, 1), (1, 5), (7, 10), (50, 100), (99.9, 100), (100, None)]
)
def test_the_next_step_is_the_least_above_the_percentage(percentage: float, step: float | None) -> None:
    found = next_step(GuardSettings().steps, percentage)

    assert found == step
    assert found is None or isinstance(found, float), "it is shown as 5.0"


def test_at_the_last_step_and_outside_of_live_nothing_is_promoted() -> None:
    for percentage in (100.0, None):
        guarded = Guarded(
            rollout=Rollout(streaming=True, percentage=percentage, latched=False), successes_to_promote=1
        )

        assert actions(guarded.run(200, good)) == []
