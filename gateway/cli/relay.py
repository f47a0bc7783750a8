"""`tidegate relay`: the Postgres log's events in Redis as well, until SIGTERM, SIGINT or SIGHUP."""

import asyncio
import logging
from dataclasses import asdict, dataclass

import typer

from adapters.postgres.log import PostgresLog
from gateway.cli import UNREACHABLE, WRONG_INPUT, CommandError
from gateway.core.errors import LogError
from gateway.ports.clock import SystemClock
from gateway.ports.log import EventLog
from gateway.runtime import logs
from gateway.runtime.logs import log_event
from gateway.runtime.process import hear_of_loop_errors
from gateway.runtime.stopping import STOP_SECONDS, Closing, exit_within, stop_on_signals
from gateway.runtime.supervisor import Supervisor
from gateway.service.relay import Relay, RelayTarget
from gateway.service.wiring.logs import needs_extra

HEALTH_SECONDS = 10.0
_EVERYTHING = 2**62
_FOR_EVER_SECONDS = 1e9

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What to relay: from which log to which, and how much the target keeps."""

    source: str
    target: str
    max_events: int
    max_age_seconds: float
    lock_seconds: float


async def run_relay(wanted: Wanted, log_level: str) -> None:
    """Relays until SIGTERM, SIGINT or SIGHUP. Raises CommandError where a log can't be used at the start."""
    logs.configure(log_level)
    source, target = _source(wanted), _target(wanted)
    stop = stop_on_signals()
    closing = Closing()
    try:
        try:
            closing.add("source", source.close)
            await source.start()
            closing.add("target", target.close)
            await target.start()
        except LogError as error:
            raise CommandError(UNREACHABLE, error.detail) from error
        tasks = Supervisor()
        closing.add("supervisor", tasks.close)
        relay = Relay(source, target, SystemClock(), lock_seconds=wanted.lock_seconds)
        await _relay(relay, tasks, stop)
    finally:
        exit_within(STOP_SECONDS)
        await closing.aclose()


async def _relay(relay: Relay, tasks: Supervisor, stop: asyncio.Event) -> None:
    hear_of_loop_errors(tasks.failures)
    tasks.run("relay", relay.run)
    tasks.run("relay_health", lambda: _report(relay))
    # Whoever starts the relay may wait for this line through a pipe: typer.echo flushes.
    typer.echo("tidegate relaying")
    await stop.wait()
    log_event(_log, logging.INFO, "stopping", **asdict(relay.health()))
    await tasks.close()
    try:
        await relay.stop()
    except LogError as error:
        # The lock ends by itself.
        log_event(_log, logging.WARNING, "relay_lock_kept", error=error)


async def _report(relay: Relay) -> None:
    while True:
        await asyncio.sleep(HEALTH_SECONDS)
        log_event(_log, logging.INFO, "relay_health", **asdict(relay.health()))


def _source(wanted: Wanted) -> EventLog:
    if not wanted.source.startswith(("postgres://", "postgresql://")):
        raise CommandError(WRONG_INPUT, "--from must be a URL such as postgres://host/name.")
    # What it keeps is for the gateways to say that publish into it: the relay prunes nothing.
    return PostgresLog(wanted.source, max_events=_EVERYTHING, max_age_seconds=_FOR_EVER_SECONDS)


def _target(wanted: Wanted) -> RelayTarget:
    if not wanted.target.startswith(("redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://")):
        raise CommandError(WRONG_INPUT, "--to must be a URL such as redis://host.")
    with needs_extra("redis", "redis"):
        from adapters.redis import Address, RedisConnection, RedisTarget
    try:
        address = Address.parse(wanted.target)
    except LogError as error:
        raise CommandError(WRONG_INPUT, f"--to: {error.detail}") from error
    return RedisTarget(
        RedisConnection(address), max_events=wanted.max_events, max_age_seconds=wanted.max_age_seconds
    )
