"""flags/store/shared_preferences.py: a caller's choice, on whichever node it was made."""

import pytest

from flags.errors import StoreUncertain, StoreUnwritable
from flags.store.shared_preferences import CACHE_SECONDS, SharedPreferences
from gateway.service.wiring.shared_values import FlagValues
from tests.support.clock import ManualClock
from tests.support.flags import Told
from tests.support.shared_store import Failure, MemorySharedStore

KEY = "user:ann\n\ud800 and a lot more" * 50


def preferences(store: MemorySharedStore, clock: ManualClock) -> SharedPreferences:
    return SharedPreferences(FlagValues(store), tell=Told(), timer=clock.monotonic, now_ms=clock.wall_ms)


def choice_key(store: MemorySharedStore) -> str:
    """Where the only choice lies."""
    keys = store.keys()
    (key,) = (key for key in keys if key.startswith("preference:"))
    return key


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


async def test_a_choice_whose_answer_was_lost_was_kept(clock: ManualClock) -> None:
    failures: list[Failure | None] = [None, None, None, "after"]
    store = MemorySharedStore(clock, lambda: failures.pop(0) if failures else None)
    await preferences(store, clock).put(KEY, "polling")

    assert failures == []
    assert await preferences(store, clock).get(KEY) == "polling"


async def test_a_choice_that_did_not_arrive_is_sent_again(clock: ManualClock) -> None:
    failures: list[Failure | None] = [None, None, None, "before"]
    store = MemorySharedStore(clock, lambda: failures.pop(0) if failures else None)
    await preferences(store, clock).put(KEY, "polling")

    assert await preferences(store, clock).get(KEY) == "polling"


async def test_a_choice_after_which_nobody_can_be_asked_may_have_been_kept(clock: ManualClock) -> None:
    failures: list[Failure | None] = [None, None, None, "after", "before"]
    store = MemorySharedStore(clock, lambda: failures.pop(0) if failures else None)
    kept = preferences(store, clock)

    with pytest.raises(StoreUncertain):
        await kept.put(KEY, "polling")

    assert await kept.get(KEY) == "polling"


async def test_a_choice_that_the_server_refuses_is_not_kept(clock: ManualClock) -> None:
    failures: list[Failure | None] = [None, None, None, "refused"]
    store = MemorySharedStore(clock, lambda: failures.pop(0) if failures else None)
    kept = preferences(store, clock)

    with pytest.raises(StoreUnwritable):
        await kept.put(KEY, "polling")

    assert await kept.get(KEY) == "auto"


async def test_a_choice_from_before_they_had_days_counts_and_can_be_changed(clock: ManualClock) -> None:
    store = MemorySharedStore(clock)
    one = preferences(store, clock)
    await one.put(KEY, "polling")
    key = choice_key(store)
    await store.put(key, b"streaming")
    clock.advance(CACHE_SECONDS)

    assert await one.get(KEY) == "streaming"
    await one.put(KEY, "auto")
    assert await preferences(store, clock).get(KEY) == "auto"


async def test_however_many_ask_an_outage_begins_once_and_ends_once(clock: ManualClock) -> None:
    failure: list[Failure | None] = ["before"]
    told = Told()
    values = FlagValues(MemorySharedStore(clock, lambda: failure[0]))
    kept = SharedPreferences(values, tell=told, timer=clock.monotonic, now_ms=clock.wall_ms)

    assert [await kept.get(f"c{number}") for number in range(100)] == ["auto"] * 100
    failure[0] = None
    assert [await kept.get(f"d{number}") for number in range(100)] == ["auto"] * 100

    assert told.events == ["preferences_failed", "preferences_recovered"]


async def test_what_is_no_choice_counts_as_auto(clock: ManualClock) -> None:
    store = MemorySharedStore(clock)
    one = preferences(store, clock)
    await one.put(KEY, "polling")
    key = choice_key(store)
    await store.put(key, b"\xff")
    clock.advance(CACHE_SECONDS)

    assert await one.get(KEY) == "auto"
