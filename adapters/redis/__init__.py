"""The log on Redis Streams (Redis 6.2 or newer, Valkey), and what a relay writes into."""

from adapters.redis.address import Address
from adapters.redis.audit import RedisAudit
from adapters.redis.connection import RedisConnection
from adapters.redis.log import RedisLog
from adapters.redis.node_messages import RedisNodeLinks
from adapters.redis.shared import RedisShared
from adapters.redis.target import RedisTarget

__all__ = [
    "Address",
    "RedisAudit",
    "RedisConnection",
    "RedisLog",
    "RedisNodeLinks",
    "RedisShared",
    "RedisTarget",
]
