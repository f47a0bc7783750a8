"""The shared stores that the suite runs over. A new one adds a factory, and nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from gateway.shared import SharedStore
from tests.support.clock import ManualClock
from tests.support.shared_store import MemorySharedStore


class Shared(NamedTuple):
    """An empty store that is started, and what lets the server's time pass."""

    store: SharedStore
    let_pass: Callable[[float], Awaitable[None]]


SharedFactory = Callable[[], AbstractAsyncContextManager[Shared]]


@asynccontextmanager
async def _memory() -> AsyncIterator[Shared]:
    clock = ManualClock()

    async def let_pass(seconds: float) -> None:
        clock.advance(seconds)

    yield Shared(MemorySharedStore(clock), let_pass)


SHARED_STORES: Mapping[str, SharedFactory] = {"memory": _memory}
