"""The resources of a gateway, put together out of its parts (gateway/http)."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway import static
from gateway.delivery.replay.scan import Scanner
from gateway.http.admin.audit import AuditHandler
from gateway.http.admin.connections import ConnectionsHandler
from gateway.http.admin.revocations import RevocationsHandler
from gateway.http.audit import Trail
from gateway.http.broadcast import BroadcastHandler
from gateway.http.client_address import Clients
from gateway.http.front import Front
from gateway.http.front_door import FRONT_DOOR, AtOnce, FrontDoor
from gateway.http.health import HealthHandler
from gateway.http.legacy.paths import add_legacy_routes
from gateway.http.limits import RequestLimits
from gateway.http.long_answers import LongAnswers
from gateway.http.marks import Marks
from gateway.http.migration import MigrationHandler
from gateway.http.opening import Openings, StreamOptions
from gateway.http.poll import PollHandler
from gateway.http.presence import PresenceHandler
from gateway.http.publish import PublishHandler, PublishLimits
from gateway.http.state import StateHandler
from gateway.http.static import add_static_files
from gateway.http.stream import StreamHandler
from gateway.ports.clock import Clock
from gateway.runtime.refusals import Refusals
from gateway.runtime.slices import Slices
from gateway.service.door_metrics import DoorCollector
from gateway.service.settings import Settings
from gateway.service.wiring.access import make_head_limits
from gateway.service.wiring.administration import add_administration
from gateway.service.wiring.deciding import make_deciding
from gateway.service.wiring.metrics import make_metrics
from gateway.service.wiring.parts import Gateway

Way = Literal["front_door", "handed_over", "beside"]
"""How a connection becomes a stream: without aiohttp where that can be (gateway/http/front_door.py), taken
over from it (gateway/delivery/handover.py), or by waiting beside it."""


def add_handlers(
    app: web.Application,
    settings: Settings,
    clock: Clock,
    gateway: Gateway,
    refusals: Refusals,
    clients: Clients,
    trail: Trail,
    front: Front,
    marks: Marks,
    *,
    way: Way,
    body_seconds: float,
) -> None:
    """Registers every resource, and reassigns the open streams whenever the flags change.

    `front` and `marks` are those of the application. See `create_app` for the rest.
    """
    stored, delivery, flags = gateway.stored, gateway.delivery, gateway.flags
    history, hub, states, resumes = stored.history, delivery.hub, delivery.states, delivery.resumes
    deciding = make_deciding(settings, gateway, clients)
    selections, components, callers = deciding.selections, deciding.components, deciding.callers
    sessions, terms, stream_plans = deciding.sessions, deciding.terms, deciding.stream_plans
    marks.add(sessions.mark)
    reassign = partial(hub.reassign, stream_plans.reassignment)
    flags.store.subscribe(lambda before, after: reassign())
    scanner = Scanner(history, delivery.archive, Slices(clock), delivery.revoked.revocations)
    interest, loop = gateway.upstreams.interest, asyncio.get_running_loop()
    long_answers = LongAnswers()
    request_limits = RequestLimits(gateway.admission, clients)
    check_rate = request_limits.check_rate
    limits = PublishLimits(**settings.publish.model_dump(), body_seconds=body_seconds)
    publish = PublishHandler(stored.log, clock, limits, partial(check_rate, "publish_per_second"), trail)
    evidence, options = gateway.migration.evidence, _stream_options(settings)
    openings = Openings(
        history, hub, resumes, clock, stream_plans, evidence, selections, options, request_limits
    )
    streams = StreamHandler(
        openings, delivery.sockets, resumes, sessions, refusals, hand_over=way != "beside"
    )
    metrics = make_metrics(gateway, refusals.counts, publish, clients)
    for handler in (
        streams,
        publish,
        PresenceHandler(hub.presence, clock, partial(check_rate, "presence_per_second")),
        BroadcastHandler(hub.presence, partial(check_rate, "broadcasts_per_second")),
        PollHandler(
            *(history, hub, resumes, scanner, interest, loop, clock),
            *(components, sessions, terms, selections, request_limits),
        ),
        StateHandler(states, components, callers, clock, selections, long_answers),
        RevocationsHandler(stored.log, delivery.revoked, clock),
        MigrationHandler(components, callers, sessions, reassign),
        AuditHandler(gateway.audit.recorder),
        ConnectionsHandler(hub, history, gateway.admission.refused, clock),
        HealthHandler(gateway.not_ready, gateway.warnings, metrics),
    ):
        handler.add_routes(app)
    add_static_files(app, Path(static.__file__).parent)
    add_administration(app, settings, clock, flags, gateway.migration, clients, deciding, marks)
    source, now = gateway.upstreams.source, lambda: history.cursor_at(history.head_position)
    lists = add_legacy_routes(app, source, terms, now, clients, long_answers)
    if way == "front_door":
        at_once: dict[Handler, AtOnce] = {streams.get: streams.at_once, **lists}
        door = app[FRONT_DOOR] = FrontDoor(
            *(app.router, at_once, front, marks, refusals, delivery.sockets, options),
            make_head_limits(settings),
        )
        metrics.register(DoorCollector(door))


def _stream_options(settings: Settings) -> StreamOptions:
    return StreamOptions(
        heartbeat_seconds=settings.stream.heartbeat_seconds,
        retry_ms=settings.stream.retry_ms,
        debounce_ms=settings.hints.debounce_ms,
        max_wait_ms=settings.hints.max_wait_ms,
        write_buffer_bytes=settings.stream.write_buffer_bytes,
        gzip=settings.stream.compression == "gzip",
    )
