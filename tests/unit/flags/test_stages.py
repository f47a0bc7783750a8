"""The table of stages: forward step by step, back from anywhere."""

import itertools

import pytest

from flags.errors import ForbiddenMove
from flags.stages import MOVES, Stage, check_move

ORDER = list(Stage)
PAIRS = list(itertools.permutations(ORDER, 2))


def test_the_table_has_every_stage_and_only_other_stages() -> None:
    assert list(MOVES) == ORDER
    assert all(stage not in allowed for stage, allowed in MOVES.items())


@pytest.mark.parametrize(("before", "after"), [(a, b) for a, b in PAIRS if ORDER.index(b) < ORDER.index(a)])
def test_every_earlier_stage_can_be_gone_back_to(before: Stage, after: Stage) -> None:
    check_move(before, after)


@pytest.mark.parametrize(("before", "after"), list(itertools.pairwise(ORDER)))
def test_the_next_stage_can_be_gone_on_to(before: Stage, after: Stage) -> None:
    check_move(before, after)


@pytest.mark.parametrize("stage", ORDER)
def test_staying_is_allowed(stage: Stage) -> None:
    check_move(stage, stage)


@pytest.mark.parametrize(
    ("before", "after"), [(a, b) for a, b in PAIRS if ORDER.index(b) > ORDER.index(a) + 1]
)
def test_a_stage_that_is_jumped_over_is_refused_and_the_allowed_ones_are_named(
    before: Stage, after: Stage
) -> None:
    with pytest.raises(ForbiddenMove) as caught:
        check_move(before, after)

    assert caught.value.allowed == MOVES[before]
    assert (caught.value.before, caught.value.after) == (before, after)
    assert all(stage in caught.value.detail for stage in MOVES[before])
