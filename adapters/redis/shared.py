"""The values that all nodes share, in Redis: a hash each, changed by scripts."""

from adapters.redis.connection import RedisConnection
from gateway.ports.shared import SharedEntry


class RedisShared:
    """A SharedStore on a connection of its own."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def start(self) -> None:
        await self._connection.start()

    async def close(self) -> None:
        await self._connection.close()

    async def get(self, key: str) -> SharedEntry | None:
        content, version = await self._connection.execute("HMGET", self._key(key), "content", "version")
        return None if version is None else SharedEntry(content, int(version))

    async def version(self, key: str) -> int:
        return int(await self._connection.execute("HGET", self._key(key), "version") or 0)

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, ttl_seconds: float | None = None
    ) -> int | None:
        version = await self._connection.script(
            "shared_put",
            [self._key(key), self._connection.key("shared-version")],
            [
                value,
                "" if expected is None else expected,
                "" if ttl_seconds is None else max(1, round(ttl_seconds * 1000)),
            ],
        )
        return int(version) or None

    async def remove(self, key: str, *, expected: int | None = None) -> bool:
        removed = await self._connection.script(
            "shared_remove", [self._key(key)], ["" if expected is None else expected]
        )
        return bool(removed)

    def _key(self, key: str) -> str:
        return self._connection.key("shared", key)
