"""Which log `log.url` means. A driver is imported only where its log is asked for."""

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adapters.memory import MemoryLog
from adapters.memory_audit import MemoryAudit
from gateway.core.errors import ConfigError, LogError
from gateway.ports.audit import AuditStore
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.log import EventLog
from gateway.ports.shared import SharedStore
from gateway.runtime.leases import EveryLease, SharedLeases
from gateway.runtime.node_carrier import NodeLinks
from gateway.service.log_kinds import SQLITE
from gateway.service.settings import Settings

if TYPE_CHECKING:
    from adapters.redis import RedisConnection


def open_log(settings: Settings, clock: Clock) -> EventLog:
    """The log of `log.url`, not started yet.

    Raises ConfigError where the URL is wrong, or the log's driver is not installed. Whether the log can be
    used is what its `start` finds out.
    """
    with _wrong_url():
        return _OPENERS[settings.log.kind].log(settings, clock)


def check_url(settings: Settings) -> None:
    """Raises ConfigError as `open_log` does; connects to nothing and makes nothing."""
    with _wrong_url():
        _OPENERS[settings.log.kind].check(settings)


def open_leases(settings: Settings, clock: Clock) -> Leases | None:
    """What nodes with this log share beside it, and who does what; None where the log does not last.

    The store is not started yet. Raises as `open_log` does.
    """
    with _wrong_url():
        return _OPENERS[settings.log.kind].leases(settings, clock)


def open_audit(settings: Settings, clock: Clock) -> AuditStore:
    """Where the audit trail is kept: where the log is. It is not started yet. Raises as `open_log` does."""
    with _wrong_url():
        return _OPENERS[settings.log.kind].audit(settings, clock)


def open_node_links(settings: Settings) -> NodeLinks | None:
    """The way from this node to the others with the same log; None where there can't be any.

    Connects to nothing yet. Raises as `open_log` does.
    """
    with _wrong_url():
        return _OPENERS[settings.log.kind].node_links(settings)


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


def _nothing(settings: Settings) -> None:
    """What a log of one process needs no check for, or no other nodes."""


def _shared_leases(store: SharedStore, clock: Clock) -> Leases:
    """Leases of which no other node, now or later, has this one's."""
    return SharedLeases(store, f"{socket.gethostname()}:{secrets.token_hex(8)}", clock)


def _memory(settings: Settings, clock: Clock) -> EventLog:
    # Gone with the process, so it holds what the history does: more could reach nobody.
    return MemoryLog(clock, **settings.history.model_dump())


def _memory_audit(settings: Settings, clock: Clock) -> AuditStore:
    return MemoryAudit(clock, **settings.audit.model_dump())


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


def _sqlite_leases(settings: Settings, clock: Clock) -> Leases:
    from adapters.sqlite import SqliteShared

    path = _path(settings)
    return EveryLease(SqliteShared(path.with_name(f"{path.name}.upstreams"), clock))


def _sqlite_audit(settings: Settings, clock: Clock) -> AuditStore:
    from adapters.sqlite import SqliteAudit

    path = _path(settings)
    return SqliteAudit(path.with_name(f"{path.name}.audit"), clock, **settings.audit.model_dump())


def _check_postgres(settings: Settings) -> None:
    from adapters.postgres.address import Address

    Address.parse(settings.log.url)


def _postgres(settings: Settings, clock: Clock) -> EventLog:
    from adapters.postgres.log import PostgresLog

    return PostgresLog(
        settings.log.url,
        max_events=settings.log.max_events,
        max_age_seconds=settings.log.max_age_seconds,
        notify=settings.log.notify,
        bookkeeping_seconds=settings.log.bookkeeping_seconds or None,
    )


def _postgres_leases(settings: Settings, clock: Clock) -> Leases:
    from adapters.postgres.shared import PostgresShared

    return _shared_leases(PostgresShared(settings.log.url), clock)


def _postgres_audit(settings: Settings, clock: Clock) -> AuditStore:
    from adapters.postgres.audit import PostgresAudit

    return PostgresAudit(settings.log.url, clock, **settings.audit.model_dump())


def _postgres_node_links(settings: Settings) -> NodeLinks:
    from adapters.postgres.node_messages import PostgresNodeLinks

    return PostgresNodeLinks(settings.log.url)


def _check_redis(settings: Settings) -> None:
    with needs_extra("redis", "redis"):
        from adapters.redis import Address
    Address.parse(settings.log.url)


def _redis(settings: Settings, clock: Clock) -> EventLog:
    with needs_extra("redis", "redis"):
        from adapters.redis import RedisLog
    return RedisLog(
        _redis_connection(settings),
        clock,
        max_events=settings.log.max_events,
        max_age_seconds=settings.log.max_age_seconds,
    )


def _redis_leases(settings: Settings, clock: Clock) -> Leases:
    with needs_extra("redis", "redis"):
        from adapters.redis import RedisShared
    return _shared_leases(RedisShared(_redis_connection(settings)), clock)


def _redis_audit(settings: Settings, clock: Clock) -> AuditStore:
    with needs_extra("redis", "redis"):
        from adapters.redis import RedisAudit
    return RedisAudit(_redis_connection(settings), clock, **settings.audit.model_dump())


def _redis_node_links(settings: Settings) -> NodeLinks:
    with needs_extra("redis", "redis"):
        from adapters.redis import RedisNodeLinks
    return RedisNodeLinks(_redis_connection(settings))


def _redis_connection(settings: Settings) -> "RedisConnection":
    from adapters.redis import Address, RedisConnection

    address = Address.parse(settings.log.url)
    if address.ca_file is not None:
        address = replace(address, ca_file=str(settings.base_dir / address.ca_file))
    return RedisConnection(address)


class _Opener(NamedTuple):
    """How the parts of one kind of log are made. `check` raises as `log` does, and makes nothing."""

    log: Callable[[Settings, Clock], EventLog]
    check: Callable[[Settings], None]
    leases: Callable[[Settings, Clock], Leases | None]
    audit: Callable[[Settings, Clock], AuditStore]
    node_links: Callable[[Settings], NodeLinks | None]


_OPENERS = {
    "memory": _Opener(_memory, _nothing, lambda settings, clock: None, _memory_audit, _nothing),
    "sqlite": _Opener(_sqlite, _nothing, _sqlite_leases, _sqlite_audit, _nothing),
    "postgres": _Opener(_postgres, _check_postgres, _postgres_leases, _postgres_audit, _postgres_node_links),
    "redis": _Opener(_redis, _check_redis, _redis_leases, _redis_audit, _redis_node_links),
}
"""By the names of gateway/service/log_kinds.py (LOGS). No kind stands in for one that is not here."""
