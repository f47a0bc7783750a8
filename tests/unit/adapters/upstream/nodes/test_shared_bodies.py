"""Bodies of answers in the store that nodes share, part by part."""

import pytest

from adapters.upstream.nodes.shared_bodies import BODY_TTL_SECONDS, PART_BYTES, SharedBodies
from gateway.core.errors import LogError
from tests.support.clock import ManualClock
from tests.support.shared_store import Failure, MemorySharedStore

LONG = bytes(range(256)) * (2 * PART_BYTES // 256) + b"end"


class Store(MemorySharedStore):
    """A store whose next calls fail as told, and that notes how much it was given at once."""

    def __init__(self, clock: ManualClock) -> None:
        self.failures: list[Failure | None] = []
        self.sizes: list[int] = []
        super().__init__(clock, lambda: self.failures.pop(0) if self.failures else None)

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        self.sizes.append(len(value))
        return await super().put(key, value, expected=expected, ttl_seconds=ttl_seconds)


@pytest.fixture
def store(clock: ManualClock) -> Store:
    return Store(clock)


@pytest.fixture
def one(store: Store, clock: ManualClock) -> SharedBodies:
    return SharedBodies(store, "/orders", clock)


@pytest.fixture
def other(store: Store, clock: ManualClock) -> SharedBodies:
    return SharedBodies(store, "/orders", clock)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, len(LONG) - 3, len(LONG)])
async def test_a_body_of_any_length_is_found_whole_by_others(
    one: SharedBodies, other: SharedBodies, size: int
) -> None:
    await one.keep("d", LONG[:size])

    assert await other.load("d") == LONG[:size]


async def test_the_store_is_given_a_part_at_a_time(one: SharedBodies, store: Store) -> None:
    """A driver that quotes a value holds the loop for as long as the value is."""
    await one.keep("d", LONG)

    assert store.sizes == [PART_BYTES, PART_BYTES, 3]
    assert PART_BYTES <= 256 * 1024


async def test_a_body_of_which_a_part_is_missing_is_gone(
    one: SharedBodies, other: SharedBodies, store: Store
) -> None:
    await one.keep("d", LONG)
    keys = store.keys()
    assert len(keys) == 3
    for key in keys:
        entry = await store.get(key)
        assert entry is not None
        await store.remove(key)
        assert await other.load("d") is None
        await store.put(key, entry.value)


@pytest.mark.parametrize("after_that", ["d", "e"])
async def test_what_could_be_kept_in_part_only_is_kept_whole_or_let_go_after_that(
    one: SharedBodies, other: SharedBodies, store: Store, after_that: str
) -> None:
    store.failures[:] = [None, "before"]
    with pytest.raises(LogError):
        await one.keep("d", LONG)
    assert await other.load("d") is None
    await one.keep(after_that, LONG)
    await one.let_go_but([after_that])

    assert await other.load(after_that) == LONG
    assert len(store.keys()) == 3


async def test_letting_go_that_failed_is_gone_on_with(one: SharedBodies, store: Store) -> None:
    await one.keep("d", LONG)
    await one.keep("e", b"")
    store.failures[:] = [None, "before"]
    with pytest.raises(LogError):
        await one.let_go_but(["e"])
    await one.let_go_but(["e"])

    # The one for which it failed may have been removed, and runs out by itself if not.
    assert len(store.keys()) == 2


async def test_parts_that_another_node_has_kept_anew_stay(
    one: SharedBodies, other: SharedBodies, store: Store
) -> None:
    await one.keep("d", LONG)
    await one.keep("e", b"")
    await other.keep("d", LONG)
    await one.let_go_but(["e"])

    assert await other.load("d") == LONG


async def test_what_was_loaded_can_be_let_go_of(one: SharedBodies, other: SharedBodies, store: Store) -> None:
    await one.keep("d", LONG)
    await other.load("d")
    await other.let_go_but(["e"])

    assert store.keys() == []


async def test_a_body_is_kept_anew_where_its_time_is_near_or_somebody_may_have_let_go_of_it(
    one: SharedBodies, store: Store, clock: ManualClock
) -> None:
    await one.keep("d", b"")
    await one.keep("d", b"")
    assert len(store.sizes) == 1
    clock.advance(BODY_TTL_SECONDS / 4)
    await one.keep("d", b"")
    assert len(store.sizes) == 2
    for forgets in (one.doubt, one.forget):
        forgets()
        await one.keep("d", b"")
    assert len(store.sizes) == 4
