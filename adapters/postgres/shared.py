"""The values that all nodes share, in a Postgres table."""

from typing import Any

from adapters.postgres.address import Address
from adapters.postgres.connection import Session, connect
from adapters.postgres.identity import Servers
from adapters.postgres.migrations import require_schema
from adapters.postgres.pool import Pool
from adapters.postgres.statements import statement
from gateway.core.errors import LogError
from gateway.ports.shared import SharedEntry

CONNECTIONS = 4
SWEEP_EVERY = 1000
"""After so many writes of this node, what has expired is deleted."""


class PostgresShared:
    """A SharedStore in the table `tidegate_shared` of the database at `url`."""

    def __init__(self, url: str) -> None:
        Address.parse(url)
        servers = Servers()
        self._pool = Pool(lambda: connect(url, admit=servers.admit), CONNECTIONS)
        self._writes = 0

    async def start(self) -> None:
        async with self._pool.session() as session:
            await require_schema(session)
            await session.fetch(statement("shared_sweep"))

    async def close(self) -> None:
        await self._pool.close()

    async def get(self, key: str) -> SharedEntry | None:
        rows = await self._fetch("shared_get", {"key": key}, is_safe_twice=True)
        return SharedEntry(bytes(rows[0][0]), rows[0][1]) if rows else None

    async def version(self, key: str) -> int:
        rows = await self._fetch("shared_version", {"key": key}, is_safe_twice=True)
        return rows[0][0] if rows else 0

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        name = "shared_replace" if expected else "shared_set"
        rows = await self._fetch(
            name,
            {
                "key": key,
                "value": value,
                "expected": expected,
                "only_new": expected == 0,
                "ttl_seconds": ttl_seconds,
            },
        )
        self._writes += 1
        if self._writes % SWEEP_EVERY == 0:
            await self._fetch("shared_sweep", {})
        return rows[0][0] if rows else None

    async def remove(self, key: str, *, expected: int | None = None) -> bool:
        return bool(await self._fetch("shared_remove", {"key": key, "expected": expected}))

    async def _fetch(
        self, name: str, parameters: dict[str, Any], *, is_safe_twice: bool = False
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement; where a session was lost, its like are, and a read is tried again."""
        for is_last in (not is_safe_twice, True):
            session: Session | None = None
            try:
                async with self._pool.session() as session:
                    return await session.fetch(statement(name), parameters)
            except LogError:
                if session is not None and not session.is_usable:
                    self._pool.drop_free()
                if is_last:
                    raise
        raise AssertionError("the last attempt returns or raises")
