"""gateway/migration/parity_lease.py: which of the nodes that share a log compares a route."""

import pytest

from gateway.migration.parity_lease import LENT_SECONDS, ParityLease
from gateway.ports.leases import Leases
from gateway.runtime.leases import TTL_SECONDS, EveryLease, SharedLeases
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route
from tests.support.shared_store import MemorySharedStore

ROUTE = legacy_route()


class Polling:
    """A node, and whether it asks the upstream."""

    def __init__(self, leases: Leases | None, clock: ManualClock) -> None:
        self.asks = False
        self.lease = ParityLease(ROUTE, leases, lambda: self.asks, clock)

    async def keeps(self, *, is_wanted: bool = True) -> bool:
        await self.lease.keep(is_wanted=is_wanted)
        return self.lease.holds()


@pytest.fixture
def store(clock: ManualClock) -> MemorySharedStore:
    return MemorySharedStore(clock)


@pytest.fixture
def one(store: MemorySharedStore, clock: ManualClock) -> Polling:
    return Polling(SharedLeases(store, "one", clock, ttl_seconds=1e9), clock)


@pytest.fixture
def other(store: MemorySharedStore, clock: ManualClock) -> Polling:
    return Polling(SharedLeases(store, "other", clock, ttl_seconds=1e9), clock)


async def test_the_node_that_asks_the_upstream_compares_and_no_other(one: Polling, other: Polling) -> None:
    one.asks = True
    assert (await one.keeps(), await other.keeps()) == (True, False)


async def test_who_does_not_ask_does_not_compare_though_nobody_does(one: Polling) -> None:
    assert not await one.keeps()


async def test_nothing_is_taken_for_what_is_not_to_be_compared(one: Polling) -> None:
    one.asks = True
    assert not await one.keeps(is_wanted=False)


async def test_another_node_that_asks_for_a_moment_leaves_the_comparing_where_it_is(
    one: Polling, other: Polling, clock: ManualClock
) -> None:
    one.asks = True
    assert await one.keeps()
    one.asks, other.asks = False, True
    clock.advance(LENT_SECONDS - 1)
    assert (await one.keeps(), await other.keeps()) == (True, False)
    one.asks, other.asks = True, False
    clock.advance(LENT_SECONDS - 1)
    assert (await one.keeps(), await other.keeps()) == (True, False)


async def test_another_node_that_goes_on_asking_is_to_compare(
    one: Polling, other: Polling, clock: ManualClock
) -> None:
    one.asks = True
    assert await one.keeps()
    one.asks, other.asks = False, True
    clock.advance(LENT_SECONDS)
    assert (await one.keeps(), await other.keeps()) == (False, True)


async def test_a_stage_in_which_nothing_is_compared_gives_the_lease_back(
    one: Polling, other: Polling
) -> None:
    one.asks = True
    assert await one.keeps()
    assert not await one.keeps(is_wanted=False)
    other.asks = True
    assert await other.keeps()


async def test_a_node_that_is_gone_is_followed_once_its_lease_has_run_out(
    store: MemorySharedStore, clock: ManualClock
) -> None:
    gone, other = (Polling(SharedLeases(store, name, clock), clock) for name in ("gone", "other"))
    gone.asks = other.asks = True
    assert (await gone.keeps(), await other.keeps()) == (True, False)
    clock.advance(TTL_SECONDS)
    assert not gone.lease.holds()
    assert await other.keeps()


async def test_without_other_nodes_it_is_always_here(store: MemorySharedStore, clock: ManualClock) -> None:
    for leases in (None, EveryLease(store)):
        node = Polling(leases, clock)
        assert not node.lease.is_shared
        assert await node.keeps()
    assert store.keys() == []
