"""The stores of the audit trail that the suite runs over. A new one adds a factory, and nothing else."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.memory_audit import MemoryAudit
from adapters.postgres.audit import PostgresAudit
from adapters.redis import Address, RedisAudit, RedisConnection
from adapters.sqlite import SqliteAudit
from gateway.ports.audit import AuditStore
from tests.support.clock import ManualClock
from tests.support.postgres import log_schema
from tests.support.redis import redis_url

MAX_ENTRIES = 10
MAX_AGE_SECONDS = 1000.0

OpenStore = Callable[[], AuditStore]
"""Another store of the same trail, not started yet."""
StoreFactory = Callable[[ManualClock], AbstractAsyncContextManager[OpenStore]]

BOUNDS = {"max_entries": MAX_ENTRIES, "max_age_seconds": MAX_AGE_SECONDS}


@asynccontextmanager
async def _memory(clock: ManualClock) -> AsyncIterator[OpenStore]:
    yield lambda: MemoryAudit(clock, **BOUNDS)


@asynccontextmanager
async def _sqlite(clock: ManualClock) -> AsyncIterator[OpenStore]:
    with TemporaryDirectory() as directory:
        yield lambda: SqliteAudit(Path(directory, "events.db.audit"), clock, **BOUNDS)


@asynccontextmanager
async def _postgres(clock: ManualClock) -> AsyncIterator[OpenStore]:
    async with log_schema() as url:
        yield lambda: PostgresAudit(url, clock, **BOUNDS)


@asynccontextmanager
async def _redis(clock: ManualClock) -> AsyncIterator[OpenStore]:
    url = redis_url()
    yield lambda: RedisAudit(RedisConnection(Address.parse(url)), clock, **BOUNDS)


AUDIT_STORES: Mapping[str, StoreFactory] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
    "redis": _redis,
}
LASTING = {name: factory for name, factory in AUDIT_STORES.items() if name != "memory"}
"""Those that a restart takes nothing from, and that further stores may be opened of."""
