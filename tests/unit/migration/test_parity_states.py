"""A parity lane's states: the table is all there is."""

from itertools import product

import pytest

from gateway.core.states import following
from gateway.migration.parity_states import TRANSITIONS, Signal, State
from tests.support.states import drawing

OFF, STALE, READING, COMPARING = State.OFF, State.STALE, State.READING, State.COMPARING

EXPECTED = {
    **{(state, Signal.DOUBTED): STALE for state in State},
    **{(state, Signal.BEGUN): READING for state in (OFF, STALE)},
    **{(state, Signal.ENDED): OFF for state in (STALE, READING)},
    (READING, Signal.TAKEN): COMPARING,
    (COMPARING, Signal.COMPARED): READING,
    (STALE, Signal.COMPARED): STALE,
}


@pytest.mark.parametrize(("state", "signal"), list(product(State, Signal)))
def test_a_pair_of_the_table_moves_and_any_other_raises(state: State, signal: Signal) -> None:
    if (state, signal) in EXPECTED:
        assert following(TRANSITIONS, state, signal, "a lane") is EXPECTED[state, signal]
    else:
        with pytest.raises(RuntimeError, match=f"a lane that is {state.value} can't become {signal.value}"):
            following(TRANSITIONS, state, signal, "a lane")


def test_every_state_can_be_reached_and_doubted() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert all(TRANSITIONS[state, Signal.DOUBTED] is STALE for state in State)


def test_the_architecture_page_draws_every_state_and_signal() -> None:
    drawn = drawing("A parity lane's states")
    assert all(state.value.upper() in drawn for state in State)
    assert all(signal.value in drawn for signal in Signal)
