"""The gateway as a process that ends with it: served until it is told to stop."""

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from flags.store.local_kills import ALONE, Others
from gateway.http.server import GatewayRunner, GatewaySite
from gateway.runtime.logs import log_event
from gateway.runtime.process import (
    collect_garbage_rarely,
    give_long_buffers_back,
    hear_of_loop_errors,
    raise_descriptor_limit,
)
from gateway.runtime.stopping import STOP_SECONDS, exit_within, stop_on_signals
from gateway.service.app import GATEWAY, create_app
from gateway.service.settings import Settings
from gateway.service.wiring.http import Way

_log = logging.getLogger(__name__)


async def serve(
    settings: Settings,
    *,
    announce: Callable[[str], None],
    others: Others = ALONE,
    extend: Callable[[web.Application], None] | None = None,
    stop: asyncio.Event | None = None,
    reuse_port: bool = False,
    stop_seconds: float = STOP_SECONDS,
    way: Way = "front_door",
) -> None:
    """Runs the gateway until SIGTERM, SIGINT or SIGHUP, or until `stop` is set; it has drained then.

    For a process that ends with it: once it is told to stop, or fails to start, the process has the time to
    drain and `stop_seconds` to be gone (gateway/runtime/stopping.py, `exit_within`).

    `announce` is called with the address once it serves; `extend` may add routes before that. With
    `reuse_port` other processes, `others`, may serve the same address. `way` is that of `create_app`. Raises
    OSError where the address can't be taken, ConfigError where the flags or the log can't be used.
    """
    raise_descriptor_limit()
    give_long_buffers_back()
    app = create_app(settings, others=others, way=way)
    delivery = app[GATEWAY].delivery
    hear_of_loop_errors(delivery.supervisor.failures)
    if extend is not None:
        extend(app)
    stop = stop_on_signals(stop)
    # Also what is told while it starts has to end.
    stopping = asyncio.ensure_future(stop.wait())
    stopping.add_done_callback(lambda _: exit_within(settings.server.drain_seconds + stop_seconds))
    runner = GatewayRunner(app)
    try:
        await runner.setup()
        host, port = settings.server.host, settings.server.port
        stall_seconds = settings.stream.stall_seconds
        site = GatewaySite(runner, host, port, stall_seconds, reuse_port=reuse_port or None)
        await site.start()
        collect_garbage_rarely()
        announce(address_of(host, runner.addresses[0][1]))
        await stop.wait()
        log_event(_log, logging.INFO, "stopping", streams=delivery.hub.connections)
    finally:
        stop.set()
        await runner.cleanup()


def address_of(host: str, port: int) -> str:
    """`http://127.0.0.1:8080`, with brackets around an IPv6 address."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
