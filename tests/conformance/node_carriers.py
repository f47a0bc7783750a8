"""The carriers of nodes' messages that the suite runs over. A new one adds a factory, and nothing else."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from adapters.postgres.node_messages import PostgresNodeLinks
from adapters.redis import Address, RedisConnection, RedisNodeLinks
from gateway.ports.clock import SystemClock
from gateway.ports.node_messages import NodeMessages
from gateway.runtime.node_carrier import NodeCarrier, NodeLinks
from tests.support.cluster import Broken, breakable
from tests.support.node_messages import Exchange, ExchangeLinks, Untroubled
from tests.support.postgres import log_schema
from tests.support.redis import redis_url


class Cluster(NamedTuple):
    """`node` makes one more node of a log, not started yet, and `stranger` one of another log beside it."""

    node: Callable[[], NodeMessages]
    stranger: Callable[[], NodeMessages]


ClusterFactory = Callable[[], AbstractAsyncContextManager[Cluster]]


def carrier(links: NodeLinks) -> NodeCarrier:
    return NodeCarrier(links, SystemClock(), Untroubled())


def redis_node(url: str) -> NodeCarrier:
    return carrier(RedisNodeLinks(RedisConnection(Address.parse(url))))


def postgres_node(url: str) -> NodeCarrier:
    return carrier(PostgresNodeLinks(url))


@asynccontextmanager
async def _exchange() -> AsyncIterator[Cluster]:
    own, other = Exchange(), Exchange()
    yield Cluster(lambda: carrier(ExchangeLinks(own)), lambda: carrier(ExchangeLinks(other)))


@asynccontextmanager
async def _postgres() -> AsyncIterator[Cluster]:
    async with log_schema() as own, log_schema() as other:
        yield Cluster(lambda: postgres_node(own), lambda: postgres_node(other))


@asynccontextmanager
async def _redis_prefix() -> AsyncIterator[Cluster]:
    own, other = redis_url(), redis_url()
    yield Cluster(lambda: redis_node(own), lambda: redis_node(other))


@asynccontextmanager
async def _redis_database() -> AsyncIterator[Cluster]:
    base, _, query = redis_url().partition("?")
    yield Cluster(lambda: redis_node(f"{base}/0?{query}"), lambda: redis_node(f"{base}/1?{query}"))


CLUSTERS: Mapping[str, ClusterFactory] = {
    "exchange": _exchange,
    "postgres": _postgres,
    "redis": _redis_prefix,
    "redis-database": _redis_database,
}


@asynccontextmanager
async def breakable_cluster(kind: str) -> AsyncIterator[tuple[Broken, Callable[[], NodeMessages]]]:
    """A server of its own, which a test breaks, and what makes a node there."""
    async with breakable(kind) as broken:
        node = redis_node if kind == "redis" else postgres_node
        yield broken, lambda: node(broken.url)
