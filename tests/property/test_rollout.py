"""Whatever the percentages: raising only adds callers, lowering takes out the latest, groups move as one."""

from hypothesis import given
from hypothesis import strategies as st

from flags.decide.caller import Caller
from flags.decide.decision import decide
from flags.decide.modes import Mode
from flags.decide.rollout import bucket, in_cohort
from tests.support.flags import make_flag

GROUPS = st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True)
VALUES = st.text(min_size=1, max_size=40)
PERCENTAGES = st.integers(0, 100_000).map(lambda thousandths: thousandths / 1000)


def streaming(callers: set[str], percentage: float, group: str = "orders") -> set[str]:
    flag = make_flag(stage="live", percentage=percentage, group=group)
    return {
        user for user in callers if decide(flag, Caller(user=user), kill_all=False).mode is Mode.STREAMING
    }


@given(st.sets(VALUES, max_size=50), PERCENTAGES, PERCENTAGES)
def test_raising_the_percentage_only_adds_callers(callers: set[str], one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert streaming(callers, low) <= streaming(callers, high)


@given(st.sets(VALUES, max_size=50), st.lists(PERCENTAGES, min_size=2, max_size=6))
def test_lowering_the_percentage_takes_the_latest_out_first(callers: set[str], steps: list[float]) -> None:
    came_at = {
        user: min((step for step in sorted(steps) if user in streaming(callers, step)), default=None)
        for user in callers
    }
    for step in sorted(steps, reverse=True):
        assert streaming(callers, step) == {
            user for user, came in came_at.items() if came is not None and came <= step
        }


@given(GROUPS, VALUES)
def test_nobody_is_in_at_0_and_everybody_at_100(group: str, value: str) -> None:
    assert not in_cohort(group, value, 0)
    assert in_cohort(group, value, 100)


@given(GROUPS, VALUES, PERCENTAGES)
def test_a_caller_is_in_exactly_from_above_its_bucket_on(group: str, value: str, percentage: float) -> None:
    assert in_cohort(group, value, percentage) is (bucket(group, value) < round(percentage * 1000))


@given(st.lists(GROUPS, min_size=2, max_size=5, unique=True), GROUPS, VALUES, PERCENTAGES)
def test_the_components_of_a_group_move_a_caller_as_one(
    components: list[str], group: str, user: str, percentage: float
) -> None:
    modes = {
        decide(
            make_flag(component=component, group=group, stage="live", percentage=percentage),
            Caller(user=user),
            kill_all=False,
        ).mode
        for component in components
    }

    assert len(modes) == 1
