"""gateway/runtime/leases.py: one node at a time does what only one is to do."""

import asyncio
import logging

import pytest

from gateway.core.errors import LogError
from gateway.ports.leases import Leases
from gateway.runtime.leases import TTL_SECONDS, EveryLease, SharedLeases
from tests.support.clock import ManualClock
from tests.support.shared_store import Failure, MemorySharedStore

NAME = "poll:/api/v1/orders"


@pytest.fixture
def store(clock: ManualClock) -> MemorySharedStore:
    return MemorySharedStore(clock)


@pytest.fixture
def one(store: MemorySharedStore, clock: ManualClock) -> SharedLeases:
    return SharedLeases(store, "one", clock)


@pytest.fixture
def other(store: MemorySharedStore, clock: ManualClock) -> SharedLeases:
    return SharedLeases(store, "other", clock)


async def test_of_two_nodes_one_gets_the_lease(one: SharedLeases, other: SharedLeases) -> None:
    got = await asyncio.gather(one.acquire(NAME), other.acquire(NAME))

    assert sorted(got) == [False, True]
    assert sorted([one.holds(NAME), other.holds(NAME)]) == [False, True]


async def test_a_lease_that_nobody_renews_goes_to_another_node(
    one: SharedLeases, other: SharedLeases, clock: ManualClock
) -> None:
    await one.acquire(NAME)

    clock.advance(TTL_SECONDS)

    assert not one.holds(NAME)
    assert await other.acquire(NAME)
    assert not await one.acquire(NAME)


async def test_a_lease_that_is_renewed_stays(
    one: SharedLeases, other: SharedLeases, clock: ManualClock
) -> None:
    await one.acquire(NAME)
    for _ in range(5):
        clock.advance(TTL_SECONDS / 2)
        await one.renew(NAME)

    assert one.holds(NAME)
    assert not await other.acquire(NAME)


async def test_what_is_given_back_can_be_had_at_once(one: SharedLeases, other: SharedLeases) -> None:
    await one.acquire(NAME)
    await one.release_all()

    assert not one.holds(NAME)
    assert await other.acquire(NAME)


async def test_giving_back_what_one_does_not_have_takes_it_from_nobody(
    one: SharedLeases, other: SharedLeases
) -> None:
    await one.acquire(NAME)
    await other.release(NAME)

    assert not await other.acquire(NAME)


async def test_a_stolen_lease_is_not_renewed(one: SharedLeases, other: SharedLeases) -> None:
    await one.acquire(NAME)

    assert await other.acquire(NAME, steal=True)
    await one.renew(NAME)

    assert not one.holds(NAME)
    assert other.holds(NAME)


async def test_a_lease_that_is_given_back_while_it_is_renewed_is_given_back(
    one: SharedLeases, other: SharedLeases
) -> None:
    await one.acquire(NAME)
    await asyncio.gather(one.renew(NAME), one.release(NAME))

    assert not one.holds(NAME)
    assert await other.acquire(NAME)


@pytest.mark.parametrize("failure", ["before", "after"])
async def test_a_node_that_could_not_renew_gets_its_lease_again(failure: Failure, clock: ManualClock) -> None:
    failures: list[Failure | None] = [None, None, failure]
    store = MemorySharedStore(clock, lambda: failures.pop(0) if failures else None)
    one = SharedLeases(store, "one", clock)
    await one.acquire(NAME)

    with pytest.raises(LogError):
        await one.renew(NAME)
    clock.advance(TTL_SECONDS)

    assert await one.acquire(NAME)


async def test_leases_are_renewed_until_that_is_cancelled(
    store: MemorySharedStore, clock: ManualClock
) -> None:
    one = SharedLeases(store, "one", clock, ttl_seconds=0.003)
    await one.acquire(NAME)
    version = (await store.get(f"lease:{NAME}")).version  # type: ignore[union-attr]
    task = asyncio.ensure_future(one.run())

    async with asyncio.timeout(60):
        while (await store.get(f"lease:{NAME}")).version == version:  # type: ignore[union-attr]
            pass
    task.cancel()
    await asyncio.wait([task])


async def test_a_store_that_is_out_of_reach_gets_no_line_from_the_leases(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    failures: list[Failure] = []
    is_lost, has_failed_often = False, asyncio.Event()

    def fail() -> Failure | None:
        if not is_lost:
            return None
        failures.append("before")
        if len(failures) == 3:
            has_failed_often.set()
        return failures[-1]

    one = SharedLeases(MemorySharedStore(clock, fail), "one", clock, ttl_seconds=0.003)
    await one.acquire(NAME)
    is_lost = True
    task = asyncio.ensure_future(one.run())
    async with asyncio.timeout(60):
        await has_failed_often.wait()
    task.cancel()
    await asyncio.wait([task])

    assert caplog.messages == []


class SlowStore(MemorySharedStore):
    """A store whose answer to a `put` takes `seconds`."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__(clock)
        self.clock = clock
        self.seconds = seconds

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        version = await super().put(key, value, expected=expected, ttl_seconds=ttl_seconds)
        self.clock.advance(self.seconds)
        return version


@pytest.mark.parametrize("taken", ["acquired", "renewed"])
async def test_a_lease_lasts_from_before_it_was_asked_for_however_long_the_answer_takes(
    taken: str, clock: ManualClock
) -> None:
    store = SlowStore(clock, 0.0)
    one, other = SharedLeases(store, "one", clock), SharedLeases(store, "other", clock)
    if taken == "renewed":
        await one.acquire(NAME)
    store.seconds = TTL_SECONDS
    await (one.acquire(NAME) if taken == "acquired" else one.renew(NAME))

    assert not one.holds(NAME), "to the server it has run out by now"
    store.seconds = 0.0
    assert await other.acquire(NAME)


async def test_a_node_that_is_alone_has_every_lease_and_keeps_nothing_for_it(
    store: MemorySharedStore,
) -> None:
    leases: Leases = EveryLease(store)

    await leases.run()
    assert leases.holds(NAME)
    assert await leases.acquire(NAME)
    await leases.release(NAME)
    await leases.release_all()

    assert leases.holds(NAME)
    assert store.keys() == []


def test_only_leases_that_other_nodes_see_are_shared(store: MemorySharedStore, one: SharedLeases) -> None:
    assert one.is_shared
    assert not EveryLease(store).is_shared
