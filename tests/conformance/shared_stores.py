"""The shared stores that the suite runs over. A new one adds a factory, and nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from adapters.postgres.connection import connect
from adapters.postgres.shared import PostgresShared
from adapters.redis import Address, RedisConnection, RedisShared
from adapters.sqlite import SqliteShared
from gateway.ports.shared import SharedStore
from tests.support.clock import ManualClock
from tests.support.postgres import log_database
from tests.support.redis import redis_url
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


@asynccontextmanager
async def _postgres() -> AsyncIterator[Shared]:
    async with log_database() as url:
        store = PostgresShared(url)
        await store.start()

        async def let_pass(seconds: float) -> None:
            session = await connect(url)
            await session.fetch("select pg_sleep(%(seconds)s)", {"seconds": seconds})
            session.close()

        yield Shared(store, let_pass)
        await store.close()


@asynccontextmanager
async def _redis() -> AsyncIterator[Shared]:
    connection = RedisConnection(Address.parse(redis_url()))
    store = RedisShared(connection)
    await store.start()

    async def let_pass(seconds: float) -> None:
        # A list that nobody pushes to: the server itself waits, by its own clock.
        await connection.execute("BLPOP", connection.key("nothing"), seconds + 0.01)

    yield Shared(store, let_pass)
    await store.close()


@asynccontextmanager
async def _sqlite() -> AsyncIterator[Shared]:
    clock = ManualClock()

    async def let_pass(seconds: float) -> None:
        clock.advance(seconds)

    with TemporaryDirectory() as directory:
        store = SqliteShared(Path(directory, "shared.db"), clock)
        await store.start()
        yield Shared(store, let_pass)
        await store.close()


SHARED_STORES: Mapping[str, SharedFactory] = {
    "memory": _memory,
    "postgres": _postgres,
    "redis": _redis,
    "sqlite": _sqlite,
}
