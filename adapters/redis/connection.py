"""The connections to one Redis, shared by everything that this process keeps there."""

import asyncio
import hashlib
import logging
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from typing import Any, cast
from weakref import WeakKeyDictionary

from redis.asyncio import Connection, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError

from adapters.redis.address import Address
from adapters.redis.faults import NoMaster, translated
from gateway.core.errors import LogError
from gateway.runtime.logs import log_event

OLDEST_VERSION = (6, 2)
TIMEOUT_SECONDS = 5.0

_log = logging.getLogger(__name__)

_KEYLESS = frozenset(("INFO", "TIME"))
"""The commands, among those that are carried out together, whose first word is no key."""


class RedisConnection:
    """A pool of connections to the master at `address`.

    Every method raises LogError, faults.Unreachable where the server may be there again in a moment; nothing
    is retried here. A server that says nothing for `timeout_seconds` counts as gone, so what blocks has to
    block for less. With Sentinel each new connection asks for the master anew.

    All connections lead to one server: once a new one has reached another server than those before it, these
    are closed, as soon as their command has been answered. So are all where the server is no master any more.
    """

    def __init__(self, address: Address, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.address = address
        self.timeout_seconds = timeout_seconds
        self._sentinel = _sentinel(address, timeout_seconds) if address.master else None
        options = _options(address, timeout_seconds) | {"redis_connect_func": self._greet}
        if self._sentinel is None or address.master is None:
            host, port = address.hosts[0]
            self._client: Redis = Redis(host=host, port=port, **options)
        else:
            self._client = self._sentinel.master_for(address.master, **options)
        self._is_closed = False
        self._sessions: WeakKeyDictionary[Connection, bytes] = WeakKeyDictionary()
        self._server = b""
        self.servers = 0
        """How many servers were reached so far: a process that was started again is another one."""
        self.cautions: Sequence[str] = ()
        """Where the server may lose events as it is set up, as `start` found it: a sentence each."""

    async def start(self) -> None:
        """Connects, and looks whether the server can hold a log. Raises LogError where it can't."""
        async with self._call():
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
        async with self._call():
            return await cast("Any", self._client).execute_command(*command)

    async def together(self, *commands: Sequence[str | bytes | float]) -> list[Any]:
        """The answers to several commands that read, between which nothing else happened.

        They are given although the server's memory is full.
        """
        keys = {str(command[1]) for command in commands if command[0] not in _KEYLESS}
        words = [word for command in commands for word in (len(command), *command)]
        answers = await self.script("together", sorted(keys), words)
        # As redis-py gives each of them where it is asked by itself.
        parsers = cast("Any", self._client).response_callbacks
        return [
            parsers[command[0]](answer) if command[0] in parsers else answer
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def script(
        self, name: str, keys: Sequence[str], arguments: Sequence[str | bytes | float] = ()
    ) -> Any:
        """What the script lua/`name`.lua returns."""
        text, digest = _script(name)
        execute = cast("Any", self._client).execute_command
        async with self._call():
            try:
                return await execute("EVALSHA", digest, len(keys), *keys, *arguments)
            except NoScriptError:
                # A server that was started, promoted or flushed of its scripts; this way it also keeps it.
                return await execute("EVAL", text, len(keys), *keys, *arguments)

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """For the time of a `with` a connection that listens to `channel`: a call gives the next message.

        It waits for as long as none comes, and raises LogError where the connection ends.
        """
        pool = cast("Any", self._client.connection_pool)
        async with self._call():
            connection = await pool.get_connection()
        try:
            async with self._call():
                await connection.send_command("SUBSCRIBE", channel)
                await connection.read_response()

            async def hear() -> bytes:
                async with self._call():
                    *_, message = await connection.read_response(timeout=math.inf)
                return cast("bytes", message)

            yield hear
        finally:
            # It is of no use to others: what it listens to comes to them then.
            await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def require_master(self, replication: Mapping[str, Any]) -> None:
        """Raises Unreachable, and connects anew, where a server says (INFO) that it is no master."""
        if replication.get("role", "master") != "master":
            await self._leave_all_but(b"")
            raise NoMaster(f"Redis at {self.address} was made a replica.")

    async def _greet(self, connection: Connection) -> None:
        """What is done on each new connection: it has to lead to a master, and the others to the same one."""
        self._sessions.pop(connection, None)
        await connection.on_connect()
        server = await _asked(connection, "server", b"run_id")
        if await _asked(connection, "replication", b"role") not in (b"master", b""):
            raise ReadOnlyError("it is a replica")
        self._sessions[connection] = server
        if server != self._server:
            self._server = server
            self.servers += 1
            await self._leave_all_but(server)

    async def _leave_all_but(self, server: bytes) -> None:
        idle = set(cast("Any", self._client.connection_pool)._get_free_connections())
        for connection, reached in list(self._sessions.items()):
            if reached == server:
                continue
            if connection in idle:
                await connection.disconnect(nowait=True)
            else:
                # redis-py does not bear that a connection is taken away from somebody who is using it.
                cast("Any", connection).mark_for_reconnect()

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        # redis-py would connect anew.
        if self._is_closed:
            raise LogError("The log is closed: the gateway is stopping. Publish to another node, or again.")
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        try:
            with translated(str(self.address)):
                yield
        except NoMaster:
            await self._leave_all_but(b"")
            raise
        finally:
            # redis-py loses a cancellation now and then, as that of a task which is about to connect: whoever
            # waits for the task's end would wait for ever.
            if task is not None and task.cancelling() > cancels:
                raise asyncio.CancelledError


async def _asked(connection: Connection, section: str, name: bytes) -> bytes:
    """A member of what the server says of itself (INFO); empty where it does not say it."""
    await connection.send_command("INFO", section)
    found = re.search(rb"^%b:(\S*)" % name, await connection.read_response(), re.MULTILINE)
    return found[1] if found else b""


@cache
def _script(name: str) -> tuple[bytes, str]:
    """A script, and the name that Redis has for it."""
    directory = resources.files(__package__) / "lua"
    text = b"".join((directory / f"{part}.lua").read_bytes() for part in ("prelude", name))
    return text, hashlib.sha1(text, usedforsecurity=False).hexdigest()


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
        # Without a limit nothing is evicted yet. Under volatile only what has a time to live goes.
        if info.get("maxmemory"):
            what = "anything" if str(policy).startswith("allkeys") else "idempotency keys"
            raise LogError(
                f"Redis at {where} deletes {what} when its memory is full (maxmemory-policy {policy}): "
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
