"""A poller's states: the table is all there is."""

from itertools import product

import pytest

from adapters.upstream.poller_states import TRANSITIONS, PollerSignal, PollerState
from gateway.core.states import following
from tests.support.states import drawing

IDLE, ASKING, CLOSED = PollerState.IDLE, PollerState.ASKING, PollerState.CLOSED
ANSWERED = [PollerState.CURRENT, PollerState.HELD, PollerState.FAILED]

EXPECTED = {
    (IDLE, PollerSignal.BEGUN): ASKING,
    (ASKING, PollerSignal.TAKEN): PollerState.CURRENT,
    (ASKING, PollerSignal.KEPT_BACK): PollerState.HELD,
    (ASKING, PollerSignal.FAILED): PollerState.FAILED,
    **{(state, PollerSignal.BEGUN): ASKING for state in ANSWERED},
    **{(state, PollerSignal.UNWANTED): IDLE for state in ANSWERED},
    **{(state, PollerSignal.CLOSED): CLOSED for state in [IDLE, *ANSWERED, CLOSED]},
}


@pytest.mark.parametrize(("state", "signal"), list(product(PollerState, PollerSignal)))
def test_a_pair_of_the_table_moves_and_any_other_raises(state: PollerState, signal: PollerSignal) -> None:
    if (state, signal) in EXPECTED:
        assert following(TRANSITIONS, state, signal, "a poller") is EXPECTED[state, signal]
    else:
        with pytest.raises(RuntimeError, match=f"a poller that is {state.value} can't become {signal.value}"):
            following(TRANSITIONS, state, signal, "a poller")


def test_every_state_can_be_reached_and_every_signal_happens() -> None:
    assert set(TRANSITIONS.values()) == set(PollerState)
    assert {signal for _, signal in TRANSITIONS} == set(PollerSignal)


def test_nothing_leads_out_of_closed() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is CLOSED} == {CLOSED}


def test_the_architecture_page_draws_every_state_and_signal() -> None:
    drawn = drawing("A poller's states")
    assert all(state.value.upper() in drawn for state in PollerState)
    assert all(signal.value in drawn for signal in PollerSignal)
