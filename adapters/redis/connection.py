"""The connections to one Redis, shared by everything that this process keeps there."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from adapters.redis.address import Address
from adapters.redis.faults import translated
from gateway.errors import LogError
from gateway.logs import log_event

OLDEST_VERSION = (6, 2)
TIMEOUT_SECONDS = 5.0

_log = logging.getLogger(__name__)


class RedisConnection:
    """A pool of connections to the master at `address`.

    Every method raises LogError, faults.Unreachable where the server may be there again in a moment; nothing
    is retried here. A server that says nothing for `timeout_seconds` counts as gone, so what blocks has to
    block for less. With Sentinel each new connection asks for the master anew.
    """

    def __init__(self, address: Address, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.address = address
        self.timeout_seconds = timeout_seconds
        self._sentinel = _sentinel(address, timeout_seconds) if address.master else None
        options = _options(address, timeout_seconds)
        if self._sentinel is None or address.master is None:
            host, port = address.hosts[0]
            self._client: Redis = Redis(host=host, port=port, **options)
        else:
            self._client = self._sentinel.master_for(address.master, **options)
        self._is_closed = False
        self.cautions: Sequence[str] = ()
        """Where the server may lose events as it is set up, as `start` found it: a sentence each."""

    async def start(self) -> None:
        """Connects, and looks whether the server can hold a log. Raises LogError where it can't."""
        with self._call():
            info = await self._client.info()
        self.cautions = require_usable(info, str(self.address))

    async def close(self) -> None:
        """Ends every connection, also one on which somebody waits. Closing twice does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        with translated(str(self.address)):
            await self._client.connection_pool.disconnect(inuse_connections=True)
            await self._client.aclose()
            for sentinel in self._sentinel.sentinels if self._sentinel is not None else ():
                await sentinel.aclose()

    def key(self, *names: str) -> str:
        """The key of that name, under the address's prefix."""
        return ":".join((self.address.prefix, *names))

    async def execute(self, *command: str | bytes | float) -> Any:
        """One command's answer."""
        with self._call():
            return await cast("Any", self._client).execute_command(*command)

    async def together(self, *commands: Sequence[str | bytes | float]) -> list[Any]:
        """The answers to several commands, between which nothing else happened."""
        with self._call():
            async with self._client.pipeline(transaction=True) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()

    async def script(
        self, name: str, keys: Sequence[str], arguments: Sequence[str | bytes | float] = ()
    ) -> Any:
        """What the script lua/`name`.lua returns."""
        with self._call():
            script = self._client.register_script(_script(name))
            return await script(keys=list(keys), args=list(arguments))

    @contextmanager
    def _call(self) -> Iterator[None]:
        # redis-py would connect anew.
        if self._is_closed:
            raise LogError("The log is closed: the gateway is stopping. Publish to another node, or again.")
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        try:
            with translated(str(self.address)):
                yield
        finally:
            # redis-py loses a cancellation now and then, as that of a task which is about to connect: whoever
            # waits for the task's end would wait for ever.
            if task is not None and task.cancelling() > cancels:
                raise asyncio.CancelledError


@cache
def _script(name: str) -> bytes:
    directory = resources.files(__package__) / "lua"
    return b"".join((directory / f"{part}.lua").read_bytes() for part in ("prelude", name))


def _options(address: Address, timeout_seconds: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "db": address.database,
        "username": address.user,
        "password": address.password,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "socket_keepalive": True,
        # Whoever calls knows whether doing it twice is right; redis-py does not.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "client_name": "tidegate",
    }
    return options | _tls(address)


def _tls(address: Address) -> dict[str, Any]:
    return {"ssl": True, "ssl_ca_certs": address.ca_file} if address.is_tls else {}


def _sentinel(address: Address, timeout_seconds: float) -> Sentinel:
    options = {
        "username": address.sentinel_user,
        "password": address.sentinel_password,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    return Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts), sentinel_kwargs=options | _tls(address)
    )


def require_usable(info: Mapping[str, Any], where: str) -> list[str]:
    """Raises LogError where a server that says `info` (INFO) of itself can't hold a log.

    Gives a sentence on each way in which it may lose events, and logs it.
    """
    version = str(info.get("redis_version", "0.0"))
    number = tuple(int(part) for part in version.split(".")[:2])
    if number < OLDEST_VERSION:
        raise LogError(f"Redis at {where} is version {version}: Tidegate needs 6.2 or newer.")
    if info.get("cluster_enabled"):
        raise LogError(f"Redis at {where} runs in cluster mode: a log needs one server, or Sentinel.")
    if info.get("role") != "master":
        raise LogError(f"Redis at {where} is a read-only replica: name the master, or its Sentinels.")
    cautions = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        # Without a limit nothing is evicted yet; keys without a time to live go under allkeys only.
        if info.get("maxmemory") and str(policy).startswith("allkeys"):
            raise LogError(
                f"Redis at {where} deletes anything when its memory is full (maxmemory-policy {policy}): "
                "set maxmemory-policy to noeviction."
            )
        log_event(_log, logging.WARNING, "redis_may_evict", server=where, policy=policy)
        cautions.append(
            f"Redis at {where} may delete events when its memory is full (maxmemory-policy {policy}): "
            "set maxmemory-policy to noeviction."
        )
    if not info.get("aof_enabled"):
        log_event(_log, logging.WARNING, "redis_without_aof", server=where)
        cautions.append(f"Redis at {where} forgets events when it restarts: set appendonly to yes.")
    return cautions
