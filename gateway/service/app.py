"""The composition root: builds the parts, hands them to each other, starts and stops them in order."""

import asyncio
import logging
import platform
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from aiohttp import web
from prometheus_client import ProcessCollector
from prometheus_client.registry import Collector

from adapters.upstream import UpstreamSource
from flags.errors import StoreUnreadable
from flags.guard.telemetry import Telemetry
from flags.store.local_kills import ALONE, LocalKills, Others
from flags.store.preferences import Preferences
from gateway.core.errors import ConfigError, LogError
from gateway.core.history import History
from gateway.delivery.follower import Follower
from gateway.delivery.hub import Hub
from gateway.delivery.interest import Interest
from gateway.delivery.pace import USUAL, Pace
from gateway.delivery.replay.from_log import Replays
from gateway.delivery.replay.log_archive import Archive
from gateway.delivery.replay.resume import Arrivals
from gateway.delivery.replay.scan import Scanner
from gateway.http.admin.flags import LOCAL_KILLS
from gateway.http.caller import Callers
from gateway.http.figures import PROCESS, Process
from gateway.http.front import front_middleware
from gateway.http.health import HealthHandler
from gateway.http.hosts import Hosts
from gateway.http.legacy import add_legacy_routes
from gateway.http.migration import MigrationHandler
from gateway.http.poll import PollHandler
from gateway.http.publish import PublishHandler, PublishLimits
from gateway.http.server import GatewayRunner, GatewaySite
from gateway.http.stream import StreamHandler, StreamOptions
from gateway.http.terms import PollingTerms
from gateway.migration.components import Components
from gateway.migration.guard_loop import Guardian
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.parity_sampler import ParitySampler
from gateway.migration.poll_inventory import Pollers
from gateway.migration.stream_evidence import Audience
from gateway.migration.stream_plan import Transfer
from gateway.ports.clock import Clock, SystemClock
from gateway.ports.log import EventLog, WatchedLog
from gateway.ports.shared import SharedStore
from gateway.runtime.latencies import Latencies
from gateway.runtime.logs import log_event
from gateway.runtime.process import (
    collect_garbage_rarely,
    give_long_buffers_back,
    hear_of_loop_errors,
    raise_descriptor_limit,
)
from gateway.runtime.refusals import REFUSALS, Refusals
from gateway.runtime.slices import Slices
from gateway.runtime.stopping import STOP_SECONDS, Closing, exit_within, stop_on_signals
from gateway.runtime.supervisor import Supervisor
from gateway.service.guard_metrics import GuardCollector
from gateway.service.metrics import BuildCollector, GatewayCollector, make_registry
from gateway.service.settings import Settings
from gateway.service.store_metrics import StoreCollector
from gateway.service.wiring.administration import add_administration
from gateway.service.wiring.flags import open_flags, with_local_kills
from gateway.service.wiring.logs import is_in_server
from gateway.service.wiring.parts import (
    id_aliases,
    make_delivery,
    make_evidence,
    make_stored,
    make_upstreams,
    owned_types,
)

_log = logging.getLogger(__name__)

BODY_SECONDS = 10.0
"""How long a request body may take to arrive."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of one running gateway."""

    settings: Settings
    clock: Clock
    log: EventLog
    shared: SharedStore | None
    history: History
    hub: Hub
    archive: Archive
    follower: Follower
    replays: Replays
    interest: Interest
    upstreams: UpstreamSource
    supervisor: Supervisor
    flags: LocalKills
    preferences: Preferences
    windows: GuardWindows
    telemetry: Telemetry
    audience: Audience
    latencies: Latencies
    pollers: Pollers
    guardian: Guardian
    parity: ParitySampler
    closing: Closing

    async def start(self) -> None:
        """From the log and the flags to their readers; whoever asks after this gets answers.

        Whatever fails, nothing is left running. Raises ConfigError where the flags or the log can't be used.
        """
        try:
            await self._start()
        except BaseException as error:
            await self.close()
            if isinstance(error, StoreUnreadable | LogError):
                name = "log.url" if isinstance(error, LogError) else "flags.store"
                raise ConfigError(f"{name}: {error.detail}") from error
            raise

    async def _start(self) -> None:
        closing = self.closing
        closing.add("log", self.log.close)
        await self.log.start()
        if self.shared is not None:
            closing.add("shared", self.shared.close)
            await self.shared.start()
        closing.add("flags", self.flags.close)
        await self.flags.start()
        closing.add("preferences", self.preferences.close)
        await self.preferences.start()
        closing.add("hub", self._stop_hub)
        await self.follower.start()
        closing.add("supervisor", self.supervisor.close)
        self.supervisor.run("follower", self.follower.run)
        self.replays.start(self.supervisor)
        if self.parity.lanes:
            self.supervisor.run("parity", self.parity.run)
        closing.add("upstreams", self.upstreams.close)
        await self.upstreams.start()
        self.supervisor.run("guard", self.guardian.run)

    async def drain(self) -> None:
        """Sends the streams away, and waits for them at most `server.drain_seconds`."""
        gone = self.hub.drain()
        try:
            async with asyncio.timeout(self.settings.server.drain_seconds):
                await gone
        except TimeoutError:
            log_event(_log, logging.WARNING, "drain_incomplete", streams=self.hub.connections)

    async def close(self) -> None:
        """From the readers to the log. Closing twice does nothing."""
        await self.closing.close()

    async def _stop_hub(self) -> None:
        self.hub.stop()

    def not_ready(self) -> list[str]:
        """Why no new client should come here, one sentence each."""
        reasons = []
        if self.hub.is_draining:
            reasons.append("The gateway is stopping.")
        if self.follower.trouble is not None:
            reasons.append(self.follower.trouble)
        if self.settings.server.ready_needs_upstreams:
            reasons += self._failing_upstreams()
        return reasons

    def warnings(self) -> list[str]:
        """What an operator should see to although clients are served, one sentence each."""
        warnings = self.log.warnings() if isinstance(self.log, WatchedLog) else []
        if self.flags.snapshot().stale:
            warnings.append("The flags can't be read: those that were read last stay in force.")
        if self.flags.held:
            held = ", ".join(sorted(component or "everything" for component in self.flags.held))
            warnings.append(f"Killed on this node alone, until the flags' store takes it: {held}.")
        return warnings + self._failing_upstreams() + self.hub.failures.warnings()

    def _failing_upstreams(self) -> list[str]:
        return [
            f"The upstream of {upstream.path} fails: {upstream.last_error}"
            for upstream in self.upstreams.health()
            if not upstream.connected
        ]


GATEWAY = web.AppKey("gateway", Gateway)


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    hand_over: bool = True,
    log: EventLog | None = None,
    pace: Pace = USUAL,
    others: Others = ALONE,
) -> web.Application:
    """The gateway as an application of the running event loop.

    `log` is one that is not started yet, in place of that of `log.url`. `hand_over` says whether streams'
    connections are taken over from aiohttp (gateway/delivery/handover.py), `pace` how finely the work for
    them is cut. `others` serve the same address.
    """
    clock = clock or SystemClock()
    gateway = _build(settings, clock, log, pace, others)
    refusals = Refusals()
    app = web.Application(
        middlewares=[
            front_middleware(Hosts(settings.server.names), refusals, gateway.latencies, clock.monotonic)
        ]
    )
    app[GATEWAY] = gateway
    app[REFUSALS] = refusals
    app[LOCAL_KILLS] = gateway.flags
    app[PROCESS] = Process(platform.node(), shares_log=is_in_server(settings))
    _add_handlers(app, gateway, refusals.counts, hand_over)

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        await gateway.start()
        try:
            yield
        finally:
            await gateway.close()

    async def drain(app: web.Application) -> None:
        await gateway.drain()

    app.cleanup_ctx.append(lifespan)
    app.on_shutdown.append(drain)
    return app


def _build(settings: Settings, clock: Clock, log: EventLog | None, pace: Pace, others: Others) -> Gateway:
    stored = make_stored(settings, clock, log)
    groups, interest, upstreams = make_upstreams(settings, clock, stored)
    store, preferences = open_flags(settings, stored.shared, clock, stored.outage)
    flags = with_local_kills(store, clock, others)
    evidence = make_evidence(settings, clock, flags, stored, upstreams)
    delivery = make_delivery(settings, clock, stored, groups, evidence.audience, evidence.parity.wake, pace)
    return Gateway(
        settings=settings,
        clock=clock,
        log=stored.log,
        shared=stored.shared,
        history=stored.history,
        hub=delivery.hub,
        archive=delivery.archive,
        follower=delivery.follower,
        replays=delivery.replays,
        interest=interest,
        upstreams=upstreams,
        supervisor=Supervisor(clock.monotonic, stored.outage),
        flags=flags,
        preferences=preferences,
        windows=evidence.windows,
        telemetry=evidence.telemetry,
        audience=evidence.audience,
        latencies=evidence.latencies,
        pollers=evidence.pollers,
        guardian=evidence.guardian,
        parity=evidence.parity,
        closing=Closing(),
    )


def _add_handlers(app: web.Application, gateway: Gateway, problems: Counter[str], hand_over: bool) -> None:
    components = Components(owned_types(gateway.settings), gateway.flags.snapshot)
    callers = Callers(gateway.preferences)
    terms = PollingTerms(components, callers, gateway.flags.revisions)
    transfer = Transfer(components, callers.current)
    review = partial(gateway.hub.review, transfer.review)
    gateway.flags.subscribe(lambda before, after: review())
    arrivals = Arrivals(gateway.history, gateway.archive, gateway.follower)
    publish = _publish_handler(gateway)
    for handler in (
        _stream_handler(gateway, arrivals, transfer, callers, hand_over),
        publish,
        _poll_handler(gateway, arrivals, components, callers, terms),
        MigrationHandler(components, callers, review),
        HealthHandler(
            gateway.not_ready, gateway.warnings, make_registry(*_collectors(gateway, problems, publish))
        ),
    ):
        handler.add_routes(app)
    _add_administration(app, gateway)
    history = gateway.history
    add_legacy_routes(app, gateway.upstreams, terms.legacy, lambda: history.cursor_at(history.head_position))


def _publish_handler(gateway: Gateway) -> PublishHandler:
    limits = PublishLimits(**gateway.settings.publish.model_dump(), body_seconds=BODY_SECONDS)
    return PublishHandler(gateway.log, gateway.clock, limits)


def _stream_handler(
    gateway: Gateway, arrivals: Arrivals, transfer: Transfer, callers: Callers, hand_over: bool
) -> StreamHandler:
    settings = gateway.settings
    options = StreamOptions(
        heartbeat_seconds=settings.stream.heartbeat_seconds,
        retry_ms=settings.stream.retry_ms,
        debounce_ms=settings.hints.debounce_ms,
        max_wait_ms=settings.hints.max_wait_ms,
        write_buffer_bytes=settings.stream.write_buffer_bytes,
        gzip=settings.stream.compression == "gzip",
        hand_over=hand_over,
    )
    return StreamHandler(
        gateway.history,
        gateway.hub,
        arrivals,
        gateway.clock,
        transfer,
        callers,
        gateway.audience,
        id_aliases(settings),
        options,
    )


def _poll_handler(
    gateway: Gateway, arrivals: Arrivals, components: Components, callers: Callers, terms: PollingTerms
) -> PollHandler:
    return PollHandler(
        gateway.history,
        gateway.hub,
        arrivals,
        Scanner(gateway.history, gateway.archive, Slices(gateway.clock)),
        gateway.interest,
        asyncio.get_running_loop(),
        components,
        callers,
        terms,
        id_aliases(gateway.settings),
    )


def _collectors(gateway: Gateway, problems: Counter[str], publish: PublishHandler) -> tuple[Collector, ...]:
    delivery = GatewayCollector(
        gateway.hub,
        gateway.history,
        problems,
        publish.counters,
        gateway.supervisor.failures,
        gateway.supervisor.retries,
        gateway.upstreams.counters,
        gateway.parity.reports,
    )
    stores = StoreCollector(gateway.log, gateway.upstreams.shared, gateway.flags)
    guard = GuardCollector(gateway.guardian, gateway.telemetry)
    return delivery, stores, guard, gateway.latencies, ProcessCollector(registry=None), BuildCollector()


def _add_administration(app: web.Application, gateway: Gateway) -> None:
    add_administration(
        app,
        gateway.flags,
        gateway.preferences,
        gateway.windows,
        gateway.telemetry,
        gateway.audience,
        gateway.pollers,
        gateway.guardian,
        gateway.clock,
        owned_types(gateway.settings),
        id_aliases(gateway.settings),
        gateway.upstreams.routes,
        gateway.parity,
    )


async def serve(
    settings: Settings,
    *,
    announce: Callable[[str], None],
    others: Others = ALONE,
    extend: Callable[[web.Application], None] | None = None,
    stop: asyncio.Event | None = None,
    reuse_port: bool = False,
    stop_seconds: float = STOP_SECONDS,
) -> None:
    """Runs the gateway until SIGTERM, SIGINT or SIGHUP, or until `stop` is set; it has drained then.

    For a process that ends with it: once it is told to stop, or fails to start, the process has the time to
    drain and `stop_seconds` to be gone (gateway/runtime/stopping.py, `exit_within`).

    `announce` is called with the address once it serves; `extend` may add routes before that. With
    `reuse_port` other processes, `others`, may serve the same address. Raises OSError where the address can't
    be taken, ConfigError where the flags or the log can't be used.
    """
    raise_descriptor_limit()
    give_long_buffers_back()
    app = create_app(settings, others=others)
    hear_of_loop_errors(app[GATEWAY].supervisor.failures)
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
        log_event(_log, logging.INFO, "stopping", streams=app[GATEWAY].hub.connections)
    finally:
        stop.set()
        await runner.cleanup()


def address_of(host: str, port: int) -> str:
    """`http://127.0.0.1:8080`, with brackets around an IPv6 address."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
