"""A parity lane's states: the table is all there is."""

import asyncio
from itertools import product

import pytest

from gateway.core.states import following
from gateway.migration.parity_states import TRANSITIONS, LaneSignal, LaneState
from tests.support.parity_world import pairs_of
from tests.support.states import drawing

OFF, STALE, READING, COMPARING = LaneState.OFF, LaneState.STALE, LaneState.READING, LaneState.COMPARING
ELSEWHERE = LaneState.ELSEWHERE

EXPECTED = {
    **{(state, LaneSignal.DOUBTED): STALE for state in LaneState},
    (ELSEWHERE, LaneSignal.DOUBTED): ELSEWHERE,
    **{(state, LaneSignal.BEGUN): READING for state in (OFF, STALE, ELSEWHERE)},
    **{(state, LaneSignal.ENDED): OFF for state in (STALE, READING, ELSEWHERE)},
    **{(state, LaneSignal.YIELDED): ELSEWHERE for state in (OFF, STALE, READING)},
    (READING, LaneSignal.TAKEN): COMPARING,
    (COMPARING, LaneSignal.COMPARED): READING,
    (STALE, LaneSignal.COMPARED): STALE,
}


@pytest.mark.parametrize(("state", "signal"), list(product(LaneState, LaneSignal)))
def test_a_pair_of_the_table_moves_and_any_other_raises(state: LaneState, signal: LaneSignal) -> None:
    if (state, signal) in EXPECTED:
        assert following(TRANSITIONS, state, signal, "a lane") is EXPECTED[state, signal]
    else:
        with pytest.raises(RuntimeError, match=f"a lane that is {state.value} can't become {signal.value}"):
            following(TRANSITIONS, state, signal, "a lane")


def test_every_state_can_be_reached_and_doubted() -> None:
    assert set(TRANSITIONS.values()) == set(LaneState)
    doubted = {state: TRANSITIONS[state, LaneSignal.DOUBTED] for state in LaneState}
    assert doubted.pop(ELSEWHERE) is ELSEWHERE, "there is nothing to doubt"
    assert set(doubted.values()) == {STALE}


def test_the_architecture_page_draws_every_state_and_signal() -> None:
    drawn = drawing("A parity lane's states")
    assert all(state.value.upper() in drawn for state in LaneState)
    assert all(signal.value in drawn for signal in LaneSignal)


def test_what_can_happen_goes_through_all_of_the_table() -> None:
    turns = ["turn"] * 20
    compared = [*turns, "shadow", *turns, "poll", *turns]
    seen: set[tuple[LaneState, LaneSignal]] = set()
    for steps in (
        [*compared, "off", *turns, "rearm", *turns],
        ["doubted while comparing", *compared],
        [*compared, "rearm", "rearm", "off", *turns],
        [*compared, "no lease", *turns, "rearm", "lease", *turns, "no lease", *turns, "off", *turns],
        [*compared, "no lease", "rearm", *turns],
        ["no lease", *compared, "off", *turns, "shadow", *turns],
    ):
        seen |= asyncio.run(pairs_of(steps))
    assert seen == TRANSITIONS.keys()
