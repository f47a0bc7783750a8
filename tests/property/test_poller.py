"""A poller through whatever may happen to it, in any order: its table of states has every pair."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from adapters.upstream.poller_states import TRANSITIONS, PollerSignal, PollerState
from tests.support.loop import let_others_run
from tests.support.poller_world import STEPS, World


@given(st.lists(st.sampled_from(STEPS), min_size=20, max_size=60))
def test_nothing_that_can_happen_leads_to_a_pair_that_the_table_lacks(steps: list[str]) -> None:
    seen: set[tuple[PollerState, PollerSignal]] = set()

    async def happen() -> list[BaseException | None]:
        world = World(lambda state, signal: seen.add((state, signal)))
        await let_others_run()
        for step in steps:
            await world.step(step)
        await world.close()
        return world.ends

    ends = asyncio.run(happen())

    assert seen <= TRANSITIONS.keys()
    assert not any(isinstance(end, RuntimeError) for end in ends), ends
