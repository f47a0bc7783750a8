"""What the nodes of one log tell one another, over a channel of Redis (PUBLISH and SUBSCRIBE)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from adapters.redis.connection import RedisConnection


class RedisNodeLink:
    """A NodeLink (gateway/runtime/node_carrier.py): one connection listens, another one sends."""

    def __init__(
        self, connection: RedisConnection, channel: str, hear: Callable[[], Awaitable[bytes]]
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._hear = hear

    async def send(self, packet: bytes) -> None:
        await self._connection.script("node_publish", [], [self._channel, packet])

    async def hear(self) -> bytes:
        return await self._hear()


class RedisNodeLinks:
    """The way to the nodes whose log has the same prefix in the same database."""

    pause_seconds = 0.0

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        # A channel is of all databases of a server.
        self._channel = connection.key("nodes", str(connection.address.database))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[RedisNodeLink]:
        async with self._connection.subscribed(self._channel) as hear:
            yield RedisNodeLink(self._connection, self._channel, hear)

    async def close(self) -> None:
        await self._connection.close()
