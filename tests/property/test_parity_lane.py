"""A parity lane through whatever may happen to it, in any order: its table of states has every pair."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.migration.parity_states import TRANSITIONS
from tests.support.parity_world import STEPS, pairs_of


@given(st.lists(st.sampled_from(STEPS), min_size=20, max_size=80))
def test_nothing_that_can_happen_leads_to_a_pair_that_the_table_lacks(steps: list[str]) -> None:
    assert asyncio.run(pairs_of(steps)) <= TRANSITIONS.keys()
