"""The log on Redis Streams (Redis 6.2 or newer, Valkey)."""

from adapters.redis.address import Address
from adapters.redis.connection import RedisConnection
from adapters.redis.log import RedisLog

__all__ = ["Address", "RedisConnection", "RedisLog"]
