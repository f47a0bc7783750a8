"""When changes were known is remembered for minutes, however many come at once."""

import pytest

from flags.guard.known_changes import MOST_STEPS, STEP_SECONDS, KnownChanges


def known(*times: float) -> KnownChanges:
    changes = KnownChanges()
    for at in times:
        changes.add(at)
    return changes


def test_those_after_one_moment_and_up_to_another_are_counted() -> None:
    changes = known(1.0, 2.0, 2.0, 5.0)

    assert changes.between(1.0, 5.0) == 3
    assert changes.between(0.0, 1.5) == 1
    assert changes.between(5.0, 9.0) == 0
    assert changes.between(4.0, 3.0) == 0


def test_of_none_there_are_none() -> None:
    assert KnownChanges().between(0.0, 9.0) == 0


def test_one_that_is_told_late_counts_with_the_one_before_it() -> None:
    assert known(3.0, 2.0).between(2.5, 3.5) == 2


@pytest.mark.parametrize("a_second", [1, 100, 500])
def test_at_any_rate_five_minutes_are_remembered(a_second: int) -> None:
    changes = KnownChanges()
    for number in range(600 * a_second):
        changes.add(number / a_second)

    # To a step: what was known in one is known at its begin.
    assert changes.between(300.0, 595.0) == pytest.approx(295 * a_second, abs=2 * a_second * STEP_SECONDS + 1)


def test_it_is_bounded() -> None:
    changes = KnownChanges()
    for number in range(3 * MOST_STEPS):
        changes.add(float(number))

    assert changes.between(-1.0, 1e9) <= MOST_STEPS
