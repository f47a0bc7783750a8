"""Which log `log.url` means. A driver is imported only where its log is asked for."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.memory import MemoryLog
from gateway.core.errors import ConfigError, LogError
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.log import EventLog
from gateway.ports.shared import SharedStore
from gateway.runtime.leases import EveryLease, SharedLeases
from gateway.service.settings import POSTGRES, REDIS, SQLITE, Settings

if TYPE_CHECKING:
    from adapters.redis import RedisConnection


def open_log(settings: Settings, clock: Clock) -> EventLog:
    """The log of `log.url`, not started yet.

    Raises ConfigError where the URL is wrong, or the log's driver is not installed. Whether the log can be
    used is what its `start` finds out.
    """
    url = settings.log.url
    if url.startswith(SQLITE):
        return _sqlite(settings, clock)
    with _wrong_url():
        if url.startswith(POSTGRES):
            return _postgres(settings)
        if url.startswith(REDIS):
            return _redis(settings, clock)
    # Gone with the process, so it holds what the history does: more could reach nobody.
    return MemoryLog(clock, **settings.history.model_dump())


def check_url(settings: Settings) -> None:
    """Raises ConfigError as `open_log` does; connects to nothing and makes nothing."""
    url = settings.log.url
    with _wrong_url():
        if url.startswith(POSTGRES):
            from adapters.postgres.address import Address as PostgresAddress

            PostgresAddress.parse(url)
        elif url.startswith(REDIS):
            with needs_extra("redis", "redis"):
                from adapters.redis import Address as RedisAddress
            RedisAddress.parse(url)


def is_in_server(settings: Settings) -> bool:
    """Whether the log is in a server, where other nodes may share it."""
    return settings.log.url.startswith((*POSTGRES, *REDIS))


def open_leases(settings: Settings, clock: Clock) -> Leases | None:
    """What nodes with this log share beside it, and who does what; None where the log does not last.

    The store is not started yet. Raises as `open_log` does.
    """
    url = settings.log.url
    if url.startswith(SQLITE):
        from adapters.sqlite import SqliteShared

        path = _path(settings)
        return EveryLease(SqliteShared(path.with_name(f"{path.name}.upstreams"), clock))
    store = _shared(settings)
    return None if store is None else SharedLeases(store, _node_name(), clock)


def _node_name() -> str:
    """What no other node is called, now or later."""
    return f"{socket.gethostname()}:{secrets.token_hex(8)}"


def _shared(settings: Settings) -> SharedStore | None:
    url = settings.log.url
    with _wrong_url():
        if url.startswith(POSTGRES):
            from adapters.postgres.shared import PostgresShared

            return PostgresShared(url)
        if url.startswith(REDIS):
            with needs_extra("redis", "redis"):
                from adapters.redis import RedisShared
            return RedisShared(_redis_connection(settings))
    return None


@contextmanager
def _wrong_url() -> Iterator[None]:
    try:
        yield
    except LogError as error:
        raise ConfigError(f"log.url: {error.detail}") from error


@contextmanager
def needs_extra(extra: str, package: str) -> Iterator[None]:
    """Around the import of an adapter: that `package` is missing becomes a ConfigError with the remedy.

    Any other import error stays as it is: that is a defect, and not a missing extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ConfigError(
            f"log.url: this log needs the package {package}, which is not installed: "
            f"pip install 'tidegate[{extra}]'."
        ) from error


def _path(settings: Settings) -> Path:
    return settings.base_dir / settings.log.url.removeprefix(SQLITE)


def _sqlite(settings: Settings, clock: Clock) -> EventLog:
    from adapters.sqlite import SqliteLog

    return SqliteLog(
        _path(settings),
        clock,
        max_events=settings.log.max_events,
        max_age_seconds=settings.log.max_age_seconds,
    )


def _postgres(settings: Settings) -> EventLog:
    from adapters.postgres.log import PostgresLog

    return PostgresLog(
        settings.log.url,
        max_events=settings.log.max_events,
        max_age_seconds=settings.log.max_age_seconds,
        notify=settings.log.notify,
        bookkeeping_seconds=settings.log.bookkeeping_seconds or None,
    )


def _redis(settings: Settings, clock: Clock) -> EventLog:
    with needs_extra("redis", "redis"):
        from adapters.redis import RedisLog
    return RedisLog(
        _redis_connection(settings),
        clock,
        max_events=settings.log.max_events,
        max_age_seconds=settings.log.max_age_seconds,
    )


def _redis_connection(settings: Settings) -> "RedisConnection":
    from adapters.redis import Address, RedisConnection

    address = Address.parse(settings.log.url)
    if address.ca_file is not None:
        address = replace(address, ca_file=str(settings.base_dir / address.ca_file))
    return RedisConnection(address)
