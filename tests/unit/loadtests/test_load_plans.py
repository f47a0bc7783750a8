"""What a load run does when."""

from itertools import pairwise

import pytest

from loadtests.plans import MAX_SECONDS, MAX_USERS, Plan, PlanError, parse_parts

SECONDS = range(100)


def a_plan(*parts: str) -> Plan:
    return Plan(50, 100, frozenset(parts))


def test_a_ramp_only_rises_and_reaches_all_users() -> None:
    users = [a_plan("ramp").users_at(second) for second in SECONDS]

    assert users == sorted(users, key=lambda count: count or 0)
    assert sorted({count for count in users if count}) == [10, 20, 30, 40, 50]


def test_without_a_ramp_all_users_are_there_at_once() -> None:
    assert a_plan().users_at(0) == 50


def test_a_plan_is_over_by_itself() -> None:
    assert a_plan("ramp", "storm", "rollout").users_at(100) is None


def test_a_ramp_of_one_user_has_a_user() -> None:
    assert Plan(1, 10, frozenset({"ramp"})).users_at(0) == 1


def test_a_storm_comes_twice_and_only_where_it_is_asked_for() -> None:
    assert [a_plan("storm").storms_by(second) for second in (0, 44, 45, 69, 70, 99)] == [0, 0, 1, 1, 2, 2]
    assert a_plan("ramp").storms_by(99) == 0


def test_a_rollout_goes_from_nobody_to_everybody_and_back() -> None:
    percentages = [a_plan("rollout").percentage_at(second) for second in SECONDS]

    assert list(dict.fromkeys(pairwise(percentages))) == [
        *[(0, 0), (0, 10), (10, 10), (10, 50), (50, 50), (50, 100), (100, 100), (100, 50), (50, 10), (10, 0)]
    ]
    assert a_plan("storm").percentage_at(50) is None


def test_nothing_is_published_at_the_end() -> None:
    assert [a_plan().is_publishing(second) for second in (0, 96, 97, 99)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("users", "seconds", "parts"),
    [
        (0, 60, ""),
        (MAX_USERS + 1, 60, ""),
        (10, 4, ""),
        (10, MAX_SECONDS + 1, ""),
        (10, 60, "ramp,flood"),
    ],
)
def test_a_run_that_is_out_of_bounds_or_unknown_is_refused(users: int, seconds: float, parts: str) -> None:
    with pytest.raises(PlanError):
        Plan(users, seconds, parse_parts(parts))
