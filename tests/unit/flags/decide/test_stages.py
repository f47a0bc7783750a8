"""The table of stages: forward step by step, back from anywhere."""

import itertools
from pathlib import Path

import pytest

from flags.decide.caller import Caller
from flags.decide.decision import decide
from flags.decide.modes import Mode
from flags.decide.stages import COMPARED, MOVES, POLLED, STREAMED, Stage, check_move
from flags.errors import ForbiddenMove
from tests.support.flags import make_flag
from tests.support.stage_picture import picture

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


@pytest.mark.parametrize("stage", ORDER)
def test_a_stage_is_streamed_in_which_somebody_gets_events_by_push(stage: Stage) -> None:
    mode = decide(make_flag(stage=stage, percentage=100), Caller(user="u"), kill_all=False).mode
    assert (stage in STREAMED) is (mode is Mode.STREAMING)


def test_push_is_compared_while_there_are_both() -> None:
    assert set(ORDER) - COMPARED == {Stage.OFF, Stage.COMPLETE}
    assert set(ORDER) - POLLED == {Stage.COMPLETE}


def test_the_migration_guide_has_the_picture_of_the_table() -> None:
    guide = Path(__file__).parents[4] / "docs" / "migration.md"
    assert f"```\n{picture(MOVES)}\n```\n" in guide.read_text()


@pytest.mark.parametrize(("before", "after"), [(a, b) for a, b in PAIRS if b in MOVES[a]])
def test_a_table_that_lacks_a_move_has_another_picture(before: Stage, after: Stage) -> None:
    without = {**MOVES, before: tuple(stage for stage in MOVES[before] if stage is not after)}
    assert picture(without) != picture(MOVES)


def test_a_move_that_the_picture_has_no_line_for_is_no_picture() -> None:
    with pytest.raises(ValueError, match="off to live"):
        picture({**MOVES, Stage.OFF: (Stage.SHADOW, Stage.LIVE)})
