"""What a tracker knows of an answer that it kept."""

from cachetools import LRUCache
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.memory import MemoryLog
from adapters.upstream.counters import RouteCounters
from adapters.upstream.fetch import Fetched
from adapters.upstream.items import Items
from adapters.upstream.tracker import Tracker
from gateway.slices import Slices
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route, listed, order

ANSWER_SECONDS = 0.25


async def asked(clock: ManualClock, cache_bytes: int) -> Tracker:
    """A tracker that has asked once; the upstream took ANSWER_SECONDS to list A and B."""

    async def fetch(validators: object) -> Fetched:
        clock.advance(ANSWER_SECONDS)
        headers = CIMultiDictProxy[str](CIMultiDict())
        return Fetched(headers, listed(order("A"), order("B")), coded=False)

    log = MemoryLog(clock, max_events=10, max_age_seconds=1e9, max_bytes=10**6)
    await log.start()
    cache: LRUCache[tuple[str, str], Items] = LRUCache(cache_bytes, getsizeof=lambda items: 100)
    tracker = Tracker(legacy_route(), log, fetch, clock, cache, RouteCounters(), Slices(clock))
    assert await tracker.poll()
    return tracker


async def test_an_answer_says_when_it_was_asked_for_and_when_it_came(clock: ManualClock) -> None:
    began = clock.monotonic()
    snapshot = (await asked(clock, cache_bytes=1000)).snapshot
    assert snapshot is not None
    assert (snapshot.asked_at, snapshot.received_at) == (began, began + ANSWER_SECONDS)


async def test_the_items_of_an_answer_are_those_that_are_remembered(clock: ManualClock) -> None:
    tracker = await asked(clock, cache_bytes=1000)
    assert tracker.snapshot is not None
    items = await tracker.items_of(tracker.snapshot)
    assert items is await tracker.items_of(tracker.snapshot)
    assert list(items) == ["A", "B"]


async def test_the_items_of_an_answer_that_nobody_remembers_are_read_again(clock: ManualClock) -> None:
    tracker = await asked(clock, cache_bytes=10)
    assert tracker.snapshot is not None
    items = await tracker.items_of(tracker.snapshot)
    assert items is not await tracker.items_of(tracker.snapshot)
    assert items == {"A": b'{"orderID":"A"}', "B": b'{"orderID":"B"}'}
