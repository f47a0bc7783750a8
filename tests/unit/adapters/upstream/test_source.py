"""The lists of all routes, and what is left of one that was dropped."""

import gc
from collections.abc import Iterator

import pytest

from adapters.memory import MemoryLog
from adapters.upstream import UpstreamSource
from gateway.ports.leases import Leases
from gateway.ports.legacy_lists import ListName
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import Snapshot
from gateway.runtime.leases import EveryLease
from tests.support.clock import ManualClock
from tests.support.legacy import legacy_route, listed, order
from tests.support.loop import in_time, let_others_run
from tests.support.shared_store import MemorySharedStore
from tests.support.upstream import Upstream, upstream

MARK = "an-order-like-no-other"


@pytest.fixture
def without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collection")
@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "shared"])
async def test_a_list_that_is_dropped_takes_its_answer_along(clock: ManualClock, is_shared: bool) -> None:
    log = MemoryLog(clock, max_events=100, max_age_seconds=1e9, max_bytes=2**20)
    leases: Leases | None = EveryLease(MemorySharedStore(clock)) if is_shared else None
    async with upstream() as backend:
        url = backend.url.removesuffix("/orders") + "/{customer}"
        route = legacy_route(path="/c/{customer}", upstream=url, max_variants=1, interval_seconds=0.02)
        source = UpstreamSource([route], log, lambda entity: False, clock, leases=leases)
        await log.start()
        await source.start()
        await _polled(clock, backend, source, route)
        assert _answers()
        clock.advance(60)
        await in_time(lambda: source.find(route, ListName(("8",))) is not None, "there is room for another")
        await let_others_run()
        assert not _answers()
        await source.close()
        await log.close()


async def _polled(clock: ManualClock, backend: Upstream, source: UpstreamSource, route: LegacyRoute) -> None:
    """One list has an answer, and has had another."""
    poller = source.find(route, ListName(("7",)))
    assert poller is not None
    await poller.answer()
    backend.says(listed(order(MARK)))
    clock.advance(0.05)
    poller.at_once()
    await in_time(lambda: poller.counters.changed > 0, "it has changed")


def _answers() -> int:
    return sum(isinstance(one, Snapshot) and MARK.encode() in one.body for one in gc.get_objects())
