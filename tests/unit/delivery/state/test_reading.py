"""A stream's state: the table is all there is."""

from itertools import product

import pytest

from gateway.delivery.state.reading import READING_TRANSITIONS, Reading, ReadingSignal, ReadingState
from tests.support.states import drawing

SETTLED, WAITING, SENDING = ReadingState.SETTLED, ReadingState.WAITING, ReadingState.SENDING


def test_the_table_has_exactly_the_pairs_that_may_happen():
    assert dict(READING_TRANSITIONS) == {
        (SETTLED, ReadingSignal.OWED): WAITING,
        (SETTLED, ReadingSignal.DROPPED): SETTLED,
        (WAITING, ReadingSignal.KNOWN): SENDING,
        (WAITING, ReadingSignal.DROPPED): SETTLED,
        (SENDING, ReadingSignal.SENT): SETTLED,
        (SENDING, ReadingSignal.DROPPED): SETTLED,
    }


SAY = {
    ReadingSignal.OWED: Reading.owe,
    ReadingSignal.KNOWN: lambda reading: reading.know(None),
    ReadingSignal.SENT: Reading.end,
    ReadingSignal.DROPPED: Reading.drop,
}


@pytest.mark.parametrize(("state", "signal"), list(product(ReadingState, ReadingSignal)))
def test_a_pair_of_the_table_moves_and_any_other_raises(state, signal):
    reading = Reading(None)
    reading.state = state
    after = READING_TRANSITIONS.get((state, signal))
    if after is None:
        with pytest.raises(RuntimeError, match=f"{state.value}.*{signal.value}"):
            SAY[signal](reading)
        after = state
    else:
        SAY[signal](reading)
    assert reading.state is after
    assert reading.is_owed is (after is not SETTLED)


def test_the_architecture_page_draws_every_state_and_signal():
    page = drawing("A stream's state, where it begins with that")
    assert all(state.value.upper() in page for state in ReadingState)
    assert all(signal.value in page for signal in ReadingSignal)
