"""The demo's simulator: what its steps do, with chance and pauses in the tests' hands."""

import asyncio
import random
import tomllib
from collections import Counter
from itertools import pairwise

import pytest

from gateway.demo import simulator
from gateway.demo.launcher import CONFIG
from gateway.demo.orders import STAGES
from gateway.demo.store import OrderStore

STEPS = 2000


class TickingClock:
    """A millisecond passes each time that somebody asks."""

    def __init__(self) -> None:
        self._now_ms = 1_795_000_000_000

    def monotonic(self) -> float:
        return self._now_ms / 1000

    def wall_ms(self) -> int:
        self._now_ms += 1
        return self._now_ms


def a_store(orders: int = 12, seed: int = 1) -> OrderStore:
    store = OrderStore(TickingClock())
    simulator.fill(store, random.Random(seed), orders)
    return store


def contents(store: OrderStore) -> dict[str, dict[str, str | float]]:
    return {order.order_id: order.to_json() for order in store.all()}


def test_a_filled_store_has_orders_in_every_stage():
    assert {order.stage for order in a_store().all()} == set(STAGES)


def test_the_same_seed_gives_the_same_history():
    def history() -> list[simulator.Step]:
        store, rng = a_store(), random.Random(7)
        return [simulator.step(store, rng) for _ in range(50)]

    assert history() == history()


def test_every_step_changes_exactly_the_order_that_it_names():
    store, rng = a_store(), random.Random(2)
    for _ in range(STEPS):
        before = contents(store)
        step = simulator.step(store, rng)
        after = contents(store)
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}

        assert changed == {step.order_id}


def test_every_kind_of_step_happens():
    store, rng = a_store(), random.Random(3)
    actions = Counter(simulator.step(store, rng).action for _ in range(STEPS))

    assert actions.keys() == {"create", "advance", "payment", "hold", "release", "delete"}


def test_most_steps_move_an_order_along():
    store, rng = a_store(), random.Random(4)
    actions = Counter(simulator.step(store, rng).action for _ in range(STEPS))

    assert actions.most_common(1)[0][0] == "advance"


def test_only_paid_orders_are_deleted():
    store, rng = a_store(), random.Random(5)
    deleted = set()
    for _ in range(STEPS):
        before = contents(store)
        step = simulator.step(store, rng)
        if step.action == "delete":
            deleted.add(before[step.order_id]["orderStage"])

    assert deleted == {"paid"}


@pytest.mark.parametrize("orders", [simulator.FEWEST_ORDERS, 12, simulator.MOST_ORDERS])
def test_the_number_of_orders_stays_within_its_bounds(orders):
    store, rng = a_store(orders), random.Random(6)
    sizes = set()
    for _ in range(STEPS):
        simulator.step(store, rng)
        sizes.add(len(store.all()))

    # A deletion may take the last but one of the bounds, and the next step makes up for it.
    assert min(sizes) >= simulator.FEWEST_ORDERS - 1
    assert max(sizes) <= simulator.MOST_ORDERS


def test_an_empty_store_is_filled_up():
    store, rng = OrderStore(TickingClock()), random.Random(8)
    steps = [simulator.step(store, rng) for _ in range(simulator.FEWEST_ORDERS)]

    assert {step.action for step in steps} == {"create"}


async def test_the_loop_takes_one_step_after_each_pause_until_it_is_cancelled():
    store = a_store()
    seen = []

    async def sleep(seconds: float) -> None:
        seen.append((seconds, contents(store)))
        if len(seen) == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await simulator.run(store, random.Random(9), 1.5, sleep)

    pauses = [seconds for seconds, _ in seen]
    states = [state for _, state in seen]
    assert all(0.75 <= seconds <= 2.25 for seconds in pauses)
    assert all(earlier != later for earlier, later in pairwise(states))


def test_the_gateway_before_it_takes_a_list_in_which_all_orders_are_others():
    """Held back, the list that a page first shows would be as old as the last page's."""
    [route] = tomllib.loads(CONFIG.read_text())["legacy"]
    assert route["max_delete_ratio"] == 1.0
