"""A subscriber's states: the table is all there is."""

from itertools import product
from pathlib import Path

import pytest

from gateway.delivery.subscriber import TRANSITIONS, Signal, State, Subscriber
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

CATCHING_UP, LIVE, LAGGING, CLOSED = State.CATCHING_UP, State.LIVE, State.LAGGING, State.CLOSED

EXPECTED = {
    (CATCHING_UP, Signal.CAUGHT_UP): LIVE,
    (CATCHING_UP, Signal.CLOGGED): LAGGING,
    (CATCHING_UP, Signal.CLOSED): CLOSED,
    (LIVE, Signal.CLOGGED): LAGGING,
    (LIVE, Signal.CLOSED): CLOSED,
    (LAGGING, Signal.DRAINED): CATCHING_UP,
    (LIVE, Signal.MOVED): CATCHING_UP,
    (LAGGING, Signal.CLOSED): CLOSED,
    (CLOSED, Signal.CLOGGED): CLOSED,
    (CLOSED, Signal.DRAINED): CLOSED,
    (CLOSED, Signal.CLOSED): CLOSED,
}


def subscriber_in(state: State, scheduler: ManualScheduler) -> Subscriber:
    subscriber = Subscriber(None, 7, RecordingTransport(scheduler))
    subscriber.state = state
    return subscriber


def test_a_new_subscriber_catches_up(scheduler: ManualScheduler) -> None:
    subscriber = Subscriber(None, 7, RecordingTransport(scheduler))
    assert subscriber.state is CATCHING_UP
    assert subscriber.number == 7


def test_the_table_has_exactly_the_pairs_that_may_happen() -> None:
    assert dict(TRANSITIONS) == EXPECTED


@pytest.mark.parametrize(("state", "signal"), list(product(State, Signal)))
def test_a_pair_of_the_table_moves_and_any_other_raises(
    state: State, signal: Signal, scheduler: ManualScheduler
) -> None:
    subscriber = subscriber_in(state, scheduler)
    if (state, signal) in EXPECTED:
        subscriber.signal(signal)
        assert subscriber.state is EXPECTED[state, signal]
    else:
        with pytest.raises(RuntimeError, match=f"{state.value}.*{signal.value}"):
            subscriber.signal(signal)
        assert subscriber.state is state


def test_nothing_leads_out_of_closed() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is CLOSED} == {CLOSED}


def test_every_state_can_be_reached_and_closed() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert all((state, Signal.CLOSED) in TRANSITIONS for state in State)


def test_the_architecture_page_draws_every_state_and_signal() -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text()
    drawing = page.partition("## A subscriber's states")[2].partition("\n## ")[0]
    assert all(state.value.upper() in drawing for state in State)
    assert all(signal.value in drawing for _, signal in TRANSITIONS)
