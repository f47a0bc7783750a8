"""The guard's verdicts: when a rollout goes on, when it goes back, and when neither."""

from collections.abc import Callable
from typing import Any

import pytest

from flags.decide.guard_settings import GuardSettings
from flags.guard.callers import CALLERS_AN_ADDRESS, Side
from flags.guard.metrics import Metric
from flags.guard.verdict import (
    Evaluation,
    GuardState,
    Kind,
    Promote,
    RollBack,
    Rollout,
    begin_of,
    evaluate,
    next_step,
)
from flags.guard.who import Who
from flags.guard.window import GuardWindow
from flags.parity.report import Tally

WINDOW = 60
MARGINS = {"margins": {"error_rate": 0.1}}
LIVE = Rollout(streaming=True, percentage=5.0, latched=False)
FULL = Rollout(streaming=True, percentage=100.0, latched=False)
ALL = frozenset(Metric)
ONLY_ERRORS = ALL - {Metric.ERROR_RATE}
ONLY_CONSISTENCY = ALL - {Metric.CONSISTENCY}


class Guarded:
    """A component that is evaluated every second, from a change at 0 on."""

    def __init__(
        self, rollout: Rollout = LIVE, unmeasured: frozenset[Metric] = ONLY_ERRORS, **given: Any
    ) -> None:
        defaults = {
            "min_samples": 10,
            "dry_run": False,
            "auto_promote": True,
            "window_seconds": WINDOW,
            **MARGINS,
        }
        self.settings = GuardSettings(**(defaults | given))
        self.window = GuardWindow(WINDOW)
        self.rollout = rollout
        self.unmeasured = unmeasured
        self.state = GuardState(0.0)
        self.now = 0
        self._came = 0

    def come(self, side: Side, good: int = 0, bad: int = 0) -> None:
        """So many callers whom nobody has seen before are answered."""
        for number in range(good + bad):
            self._came += 1
            who = Who(f"s:{self._came}")
            self.window.polled(who, side, float(self.now), failed=number >= good)

    def second(self) -> Evaluation:
        """Evaluates, a second after the last time."""
        self.now += 1
        now = float(self.now)
        tally = self.window.tally(begin_of(self.settings, self.state), now)
        evaluation = evaluate(self.settings, tally, self.state, self.rollout, now, self.unmeasured)
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
    guarded.come(Side.TREATED, 4)
    guarded.come(Side.CONTROL, 4)


def bad(guarded: Guarded) -> None:
    guarded.come(Side.TREATED, 2, 2)
    guarded.come(Side.CONTROL, 4)


def middling(guarded: Guarded) -> None:
    """Where there is no control: between the thresholds."""
    guarded.come(Side.STREAMING, 29, 1)


def actions(evaluations: list[Evaluation]) -> list[Promote | RollBack]:
    return [evaluation.action for evaluation in evaluations if evaluation.action is not None]


def forged(guarded: Guarded) -> None:
    """Two fare well each second, and one address has as many who don't as may count."""
    guarded.come(Side.TREATED, 2)
    guarded.come(Side.CONTROL, 2)
    for number in range(CALLERS_AN_ADDRESS):
        who = Who(f"k:{number}", "192.0.2.1")
        guarded.window.polled(who, Side.TREATED, float(guarded.now), failed=True)


@pytest.mark.parametrize("rollout", [LIVE, FULL])
def test_a_crowd_of_one_address_rolls_nothing_back(rollout: Rollout) -> None:
    guarded = Guarded(rollout=rollout)

    evaluations = guarded.run(3 * WINDOW, forged)

    assert actions(evaluations) == []


def test_a_lasting_failure_rolls_back_and_names_the_figure() -> None:
    guarded = Guarded(rollout=FULL)

    evaluations = guarded.run(30, bad)

    assert actions(evaluations) == [
        RollBack(
            metric=Metric.ERROR_RATE,
            value=0.5,
            threshold=0.05,
            reason="errorRate is 50 % over 60 samples, above 5 %.",
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
    whom = [Who(f"s:{number}") for number in range(1, 41)]
    for who in whom:
        guarded.window.polled(who, Side.TREATED, float(guarded.now), failed=True)
    guarded.second()
    for who in whom:
        guarded.window.polled(who, Side.TREATED, float(guarded.now), failed=False)
    evaluations = guarded.run(120, good)

    assert actions(evaluations) == []
    assert Kind.FAIL not in {evaluation.verdict.kind for evaluation in evaluations}


def test_a_failure_that_nobody_has_recovered_from_is_not_over() -> None:
    guarded = Guarded()
    whom = [Who(f"s:{number}") for number in range(100)]
    guarded.run(10, lambda one: one.come(Side.CONTROL, 8))
    for who in whom:
        guarded.window.callers.opened(who, Side.TREATED, float(guarded.now))
        guarded.window.callers.acknowledged(who, float(guarded.now))
        guarded.window.callers.closed(who, float(guarded.now))
        guarded.window.callers.fell_back(who, float(guarded.now))
    guarded.unmeasured = ALL - {Metric.FALLBACK_RATE}

    evaluations = guarded.run(20, lambda one: one.come(Side.CONTROL, 8))

    assert [type(action) for action in actions(evaluations)] == [RollBack]
    assert guarded.now - 10 <= 20


def test_what_happened_before_the_change_is_not_looked_at() -> None:
    guarded = Guarded()
    guarded.run(40, bad)

    guarded.state = GuardState(float(guarded.now))
    evaluations = guarded.run(70, good)

    assert Kind.FAIL not in {evaluation.verdict.kind for evaluation in evaluations}
    assert evaluations[-1].verdict.kind is Kind.PROMOTE
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
    guarded.run(20, bad)

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

    evaluations = guarded.run(220, good)

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


def test_where_there_is_no_control_a_figure_between_the_thresholds_holds() -> None:
    guarded = Guarded(rollout=FULL)

    evaluations = guarded.run(60, middling)

    assert evaluations[-1].verdict.kind is Kind.HOLD
    assert evaluations[-1].verdict.metric is Metric.ERROR_RATE
    assert guarded.state.successes == 0
    assert actions(evaluations) == []


def test_a_figure_without_a_control_that_holds_ends_a_row_of_successes() -> None:
    guarded = Guarded(
        unmeasured=ALL - {Metric.ERROR_RATE, Metric.CONSISTENCY}, successes_to_promote=2, auto_promote=False
    )

    def agreeing(one: Guarded) -> None:
        good(one)
        one.window.compared(Tally(agreed=1000), float(one.now))

    def differing(one: Guarded) -> None:
        good(one)
        one.window.compared(Tally(agreed=997, differed=3), float(one.now))

    guarded.run(100, agreeing)
    assert guarded.state.successes == 1
    evaluations = guarded.run(60, differing)

    assert evaluations[-1].verdict.metric is Metric.CONSISTENCY
    assert (evaluations[-1].verdict.kind, guarded.state.successes) == (Kind.HOLD, 0)


def test_harm_beside_those_who_poll_rolls_back_below_every_limit() -> None:
    guarded = Guarded(margins={"error_rate": 0.01}, error_rate={"promote": 0.05, "fail": 0.5})

    def harmed(one: Guarded) -> None:
        one.come(Side.TREATED, 9, 1)
        one.come(Side.CONTROL, 10)

    evaluations = guarded.run(100, harmed)

    (action,) = actions(evaluations)
    assert isinstance(action, RollBack)
    assert (action.metric, action.threshold) == (Metric.ERROR_RATE, 0.01)
    assert action.value == pytest.approx(0.1, abs=0.01)
    assert "callers who stream" in action.reason
    assert "past the margin of 1 points" in action.reason


def test_what_befalls_both_sides_alike_is_no_harm() -> None:
    guarded = Guarded(error_rate={"promote": 0.01, "fail": 0.5}, successes_to_promote=1)

    def troubled(one: Guarded) -> None:
        one.come(Side.TREATED, 19, 1)
        one.come(Side.CONTROL, 19, 1)

    evaluations = guarded.run(200, troubled)

    assert [type(action) for action in actions(evaluations)][:1] == [Promote]


def test_too_little_evidence_on_both_sides_holds_and_says_how_much_more_it_takes() -> None:
    guarded = Guarded(margins={"error_rate": 0.04})

    def few(one: Guarded) -> None:
        one.come(Side.TREATED, 1)
        one.come(Side.CONTROL, 1)

    verdict = guarded.run(40, few)[-1].verdict

    assert (verdict.kind, verdict.metric) == (Kind.HOLD, Metric.ERROR_RATE)
    assert "a decision takes about" in verdict.sentence
    assert "more callers streaming" in verdict.sentence


@pytest.mark.parametrize(("percentage", "side"), [(0.0, Side.CONTROL), (100.0, Side.TREATED)])
def test_without_a_control_nothing_is_promoted_and_the_verdict_says_so(percentage: float, side: Side) -> None:
    guarded = Guarded(
        rollout=Rollout(streaming=True, percentage=percentage, latched=False), successes_to_promote=1
    )

    evaluations = guarded.run(200, lambda one: one.come(side, 8))

    assert "no control: nothing is promoted" in evaluations[-1].verdict.sentence
    assert actions(evaluations) == []


@pytest.mark.parametrize("side", [Side.CONTROL, Side.POLLING])
def test_at_no_percentage_the_limits_hold_for_those_who_poll(side: Side) -> None:
    guarded = Guarded(rollout=Rollout(streaming=True, percentage=0.0, latched=False))

    evaluations = guarded.run(30, lambda one: one.come(side, 8, 8))

    assert evaluations[-1].verdict.kind is Kind.FAIL
    assert evaluations[-1].verdict.metric is Metric.ERROR_RATE


def test_callers_who_are_drawn_together_are_no_control() -> None:
    together = Rollout(streaming=True, percentage=5.0, latched=False, draws_callers=False)
    guarded = Guarded(rollout=together, successes_to_promote=1)

    evaluations = guarded.run(200, good)

    assert evaluations[-1].verdict.kind is Kind.INCONCLUSIVE
    assert "they are no samples" in evaluations[-1].verdict.sentence
    assert actions(evaluations) == []
    assert actions(guarded.run(60, bad)) != [], "the limits are all there is"


@pytest.mark.parametrize("fails", [True, False])
def test_an_address_that_makes_up_new_names_in_each_window_is_no_crowd(fails: bool) -> None:
    """With nobody else there: its callers fail, or fare well, window after window."""
    guarded = Guarded(min_samples=100, successes_to_promote=1)

    def made_up(one: Guarded) -> None:
        for number in range(2):
            who = Who(f"k:{one.now} {number}", "192.0.2.1")
            side = Side.TREATED if number else Side.CONTROL
            one.window.polled(who, side, float(one.now), failed=fails and side is Side.TREATED)

    assert actions(guarded.run(30 * WINDOW, made_up)) == []


def test_one_caller_on_a_side_is_no_control() -> None:
    guarded = Guarded(successes_to_promote=1)

    def alone(one: Guarded) -> None:
        one.come(Side.TREATED, 8)
        one.window.polled(Who("s:one"), Side.CONTROL, float(one.now), failed=False)

    evaluations = guarded.run(200, alone)

    assert evaluations[-1].verdict.kind is Kind.INCONCLUSIVE
    assert "without a control nothing is promoted" in evaluations[-1].verdict.sentence
    assert actions(evaluations) == []


def test_polls_of_the_gateways_own_that_fail_hit_both_sides_and_never_roll_back() -> None:
    guarded = Guarded()

    def unreachable(one: Guarded) -> None:
        good(one)
        one.window.own_polls(0, 1, float(one.now))

    evaluations = guarded.run(100, unreachable)

    assert evaluations[-1].verdict.kind is Kind.INCONCLUSIVE
    assert evaluations[-1].verdict.value == 1.0
    assert actions(evaluations) == []


def test_no_traffic_is_neither_a_success_nor_a_failure() -> None:
    guarded = Guarded(unmeasured=frozenset())

    evaluations = guarded.run(200)

    assert {evaluation.verdict.kind for evaluation in evaluations} == {Kind.NO_DATA}
    assert (guarded.state.successes, guarded.state.failing_since) == (0, None)


def test_a_quiet_night_does_not_end_a_row_of_successes() -> None:
    guarded = Guarded(successes_to_promote=10)
    guarded.run(100, good)
    guarded.run(70)

    before = guarded.state.successes
    quiet = guarded.run(500)
    guarded.run(3, good)

    assert {evaluation.verdict.kind for evaluation in quiet} == {Kind.NO_DATA}
    assert guarded.state.successes == before + 1


def test_too_few_samples_are_inconclusive() -> None:
    guarded = Guarded(min_samples=100)

    evaluations = guarded.run(60, lambda one: one.come(Side.TREATED, 0, 1))

    assert evaluations[-1].verdict.kind is Kind.INCONCLUSIVE
    assert actions(evaluations) == []


def test_a_crowd_from_one_address_is_told_where_it_leaves_too_few_samples() -> None:
    guarded = Guarded(min_samples=100)

    def crowd(one: Guarded) -> None:
        for number in range(60):
            who = Who(f"k:{number}", "192.0.2.1")
            one.window.polled(who, Side.TREATED, float(one.now), failed=True)

    verdict = guarded.run(30, crowd)[-1].verdict

    assert (verdict.kind, verdict.samples) == (Kind.INCONCLUSIVE, 50)
    assert "More than 50 callers came from one address" in verdict.sentence


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
    guarded = Guarded(rollout=FULL, unmeasured=ALL - {Metric.PUSH_LAG})

    def slow(one: Guarded) -> None:
        for lag_ms in [10.0] * 9 + [9000.0]:
            one.window.pushed(lag_ms, None, 1, float(one.now))

    (action,) = actions(guarded.run(30, slow))

    assert isinstance(action, RollBack)
    assert action.metric is Metric.PUSH_LAG
    assert action.value == pytest.approx(9000, rel=0.05)
    assert repr(action.threshold) == "5000.0"
    assert action.reason.endswith("above 5000 ms.")


@pytest.mark.parametrize("trusts", [False, True])
def test_a_publishers_own_timestamps_are_judged_only_where_they_are_trusted(trusts: bool) -> None:
    guarded = Guarded(rollout=FULL, unmeasured=ALL - {Metric.PUSH_LAG}, trust_timestamps=trusts)

    evaluations = guarded.run(30, lambda one: one.window.pushed(10.0, 1e9, 1, float(one.now)))

    assert [type(action) for action in actions(evaluations)] == ([RollBack] if trusts else [])


def test_changes_that_are_pushed_later_than_pollers_see_them_are_harm() -> None:
    guarded = Guarded(unmeasured=ALL - {Metric.PUSH_LAG}, push_lag_p99_ms={"promote": 1, "fail": 10_000})

    def late(one: Guarded) -> None:
        one.window.changed(one.now - 0.5)
        one.come(Side.TREATED, 3)
        for name in ("one", "other"):
            one.window.polled(Who(f"s:{name}"), Side.CONTROL, float(one.now), failed=False)
        one.window.pushed(3000.0, None, 3, float(one.now))

    (action,) = actions(guarded.run(60, late))

    assert isinstance(action, RollBack)
    assert (action.metric, action.value, action.threshold) == (Metric.PUSH_LAG, 1.0, 0.04)
    assert "100 % of what was pushed late" in action.reason


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
