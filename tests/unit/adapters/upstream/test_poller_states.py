"""A poller's states: the table is all there is."""

import asyncio
from itertools import product

import pytest

from adapters.upstream.poller_states import TRANSITIONS, PollerSignal, PollerState
from gateway.core.states import following
from tests.support.loop import let_others_run
from tests.support.poller_world import World
from tests.support.states import drawing

IDLE, ASKING, CLOSED = PollerState.IDLE, PollerState.ASKING, PollerState.CLOSED
ANSWERED = [PollerState.CURRENT, PollerState.HELD, PollerState.UNUSABLE, PollerState.FAILED]

EXPECTED = {
    (IDLE, PollerSignal.BEGUN): ASKING,
    (ASKING, PollerSignal.TAKEN): PollerState.CURRENT,
    (ASKING, PollerSignal.KEPT_BACK): PollerState.HELD,
    (ASKING, PollerSignal.UNUSABLE): PollerState.UNUSABLE,
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


def test_what_can_happen_goes_through_all_of_the_table() -> None:
    seen: set[tuple[PollerState, PollerSignal]] = set()

    async def happen(steps: list[str]) -> None:
        world = World(lambda state, signal: seen.add((state, signal)))
        await let_others_run()
        for step in steps:
            await world.step(step)
        await world.close()

    for outcome in ("taken", "kept back", "unusable", "log"):
        for rest in (["hours"], []):
            asyncio.run(happen(["wait", "taken", "write", outcome, "write", outcome, *rest]))
    asyncio.run(happen([]))
    assert seen == TRANSITIONS.keys()
