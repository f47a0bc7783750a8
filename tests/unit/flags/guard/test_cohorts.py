"""Those who stream beside those who poll."""

from flags.decide.guard_settings import GuardSettings, Margins
from flags.guard.cohorts import Outcome, compare, has_control
from flags.guard.confidence import Arm
from flags.guard.metrics import COMPARED, Metric

NOTHING = Arm(0.0, 0.0)


def arms(treated: Arm, control: Arm) -> dict[Metric, tuple[Arm, Arm]]:
    return dict.fromkeys(COMPARED, (NOTHING, NOTHING)) | {Metric.ERROR_RATE: (treated, control)}


def outcome(treated: Arm, control: Arm, settings: GuardSettings | None = None) -> Outcome:
    first = compare(settings or GuardSettings(), *[arms(treated, control)] * 2)[0]
    assert first.metric is Metric.ERROR_RATE
    return first.outcome


def test_as_many_errors_on_both_sides_are_no_harm() -> None:
    assert outcome(Arm(8.0, 800.0), Arm(40.0, 4000.0)) is Outcome.FINE


def test_far_more_errors_where_callers_stream_are_harm() -> None:
    assert outcome(Arm(40.0, 200.0), Arm(40.0, 4000.0)) is Outcome.WORSE


def test_many_errors_on_both_sides_are_no_harm_of_push() -> None:
    assert outcome(Arm(400.0, 4000.0), Arm(400.0, 4000.0)) is Outcome.FINE


def test_fewer_errors_where_callers_stream_are_no_harm() -> None:
    assert outcome(Arm(0.0, 400.0), Arm(400.0, 4000.0)) is Outcome.FINE


def test_one_caller_for_whom_everything_fails_is_not_enough_to_tell() -> None:
    assert outcome(Arm(1.0, 10.0), Arm(0.0, 990.0)) is Outcome.UNDECIDED


def test_a_narrower_margin_finds_smaller_harm_that_a_wide_one_lets_pass() -> None:
    treated, control = Arm(72.0, 3600.0), Arm(4.0, 4000.0)

    assert outcome(treated, control) is Outcome.FINE
    narrow = GuardSettings(margins=Margins(error_rate=0.005))
    assert outcome(treated, control, narrow) is Outcome.WORSE


def test_all_metrics_share_what_may_go_wrong() -> None:
    found = compare(GuardSettings(confidence=0.9), *[arms(NOTHING, NOTHING)] * 2)

    assert [one.metric for one in found] == list(COMPARED)
    assert abs(sum(one.alpha for one in found) - 0.1) < 1e-9


def test_the_harm_is_unknown_where_a_side_has_nothing() -> None:
    first = compare(GuardSettings(), *[arms(Arm(1.0, 10.0), NOTHING)] * 2)[0]

    assert first.harm is None
    assert first.interval.low < -0.99
    assert first.interval.high > 0.1


def test_what_is_undecided_says_about_how_many_callers_more_it_takes() -> None:
    treated, control = Arm(1.0, 100.0), Arm(40.0, 4000.0)
    first = compare(GuardSettings(), *[arms(treated, control)] * 2)[0]

    assert first.outcome is Outcome.UNDECIDED
    assert first.more_wanted is not None
    assert 100 < first.more_wanted < 1000


def test_with_fewer_than_two_callers_on_a_side_there_is_no_control() -> None:
    assert has_control(arms(Arm(0.0, 2.0), Arm(0.0, 2.0)))
    assert not has_control(arms(Arm(0.0, 1.0), Arm(0.0, 1000.0)))
    assert not has_control(arms(Arm(0.0, 1000.0), Arm(0.0, 1.0)))


def test_that_there_is_no_harm_is_not_concluded_from_a_window_that_goes_on() -> None:
    fine = arms(Arm(0.0, 5000.0), Arm(0.0, 5000.0))

    found = compare(GuardSettings(), fine, arms(NOTHING, NOTHING))[0]

    assert found.outcome is Outcome.UNDECIDED
    assert compare(GuardSettings(), fine, fine)[0].outcome is Outcome.FINE
