"""A poller's states: the table is all there is."""

from itertools import product

import pytest

from adapters.upstream.poller_states import TRANSITIONS, Signal, State
from gateway.core.states import following
from tests.support.states import drawing

IDLE, ASKING, CLOSED = State.IDLE, State.ASKING, State.CLOSED
ANSWERED = [State.CURRENT, State.HELD, State.FAILED]

EXPECTED = {
    (IDLE, Signal.BEGUN): ASKING,
    (ASKING, Signal.TAKEN): State.CURRENT,
    (ASKING, Signal.KEPT_BACK): State.HELD,
    (ASKING, Signal.FAILED): State.FAILED,
    **{(state, Signal.BEGUN): ASKING for state in ANSWERED},
    **{(state, Signal.UNWANTED): IDLE for state in ANSWERED},
    **{(state, Signal.CLOSED): CLOSED for state in [IDLE, *ANSWERED, CLOSED]},
}


@pytest.mark.parametrize(("state", "signal"), list(product(State, Signal)))
def test_a_pair_of_the_table_moves_and_any_other_raises(state: State, signal: Signal) -> None:
    if (state, signal) in EXPECTED:
        assert following(TRANSITIONS, state, signal, "a poller") is EXPECTED[state, signal]
    else:
        with pytest.raises(RuntimeError, match=f"a poller that is {state.value} can't become {signal.value}"):
            following(TRANSITIONS, state, signal, "a poller")


def test_every_state_can_be_reached_and_every_signal_happens() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert {signal for _, signal in TRANSITIONS} == set(Signal)


def test_nothing_leads_out_of_closed() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is CLOSED} == {CLOSED}


def test_the_architecture_page_draws_every_state_and_signal() -> None:
    drawn = drawing("A poller's states")
    assert all(state.value.upper() in drawn for state in State)
    assert all(signal.value in drawn for signal in Signal)
