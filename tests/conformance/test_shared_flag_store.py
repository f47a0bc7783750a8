"""The store that all nodes share keeps what every flag store promises."""

from collections.abc import AsyncIterator

import pytest

from flags.store.port import FlagStore
from flags.store.shared_store import shared_flag_store
from gateway.service.wiring.shared_values import FlagValues
from tests.conformance.flag_store import FlagStoreConformance
from tests.support.clock import ManualClock
from tests.support.flags import Told
from tests.support.shared_store import MemorySharedStore


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[FlagStore]:
    store = shared_flag_store(FlagValues(MemorySharedStore(clock)), tell=Told())
    await store.start()
    yield store
    await store.close()


class TestSharedFlagStore(FlagStoreConformance):
    """All of them."""
