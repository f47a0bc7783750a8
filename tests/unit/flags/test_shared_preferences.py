"""flags/shared_preferences.py: a caller's choice, on whichever node it was made."""

import pytest

from flags.errors import StoreUnwritable
from flags.shared_preferences import CACHE_SECONDS, SharedPreferences
from gateway.shared_values import FlagValues
from tests.support.clock import ManualClock
from tests.support.flags import Told
from tests.support.shared_store import Failure, MemorySharedStore

KEY = "user:ann\n\ud800 and a lot more" * 50


def preferences(store: MemorySharedStore, clock: ManualClock) -> SharedPreferences:
    return SharedPreferences(FlagValues(store), tell=Told(), timer=clock.monotonic)


async def test_who_chose_nothing_gets_auto(clock: ManualClock) -> None:
    assert await preferences(MemorySharedStore(clock), clock).get(KEY) == "auto"


async def test_a_choice_is_known_to_another_node_within_a_second(clock: ManualClock) -> None:
    store = MemorySharedStore(clock)
    one, other = preferences(store, clock), preferences(store, clock)
    assert await other.get(KEY) == "auto"

    await one.put(KEY, "polling")
    clock.advance(CACHE_SECONDS)

    assert await one.get(KEY) == "polling"
    assert await other.get(KEY) == "polling"
    assert CACHE_SECONDS <= 1.0


async def test_while_the_server_is_out_of_reach_a_choice_is_not_kept_and_auto_counts(
    clock: ManualClock,
) -> None:
    failure: list[Failure | None] = ["before"]
    kept = preferences(MemorySharedStore(clock, lambda: failure[0]), clock)

    with pytest.raises(StoreUnwritable):
        await kept.put(KEY, "polling")

    assert await kept.get(KEY) == "auto"


async def test_what_is_no_choice_counts_as_auto(clock: ManualClock) -> None:
    store = MemorySharedStore(clock)
    one = preferences(store, clock)
    await one.put(KEY, "polling")
    (key,) = store.keys()
    await store.put(key, b"\xff")
    clock.advance(CACHE_SECONDS)

    assert await one.get(KEY) == "auto"
