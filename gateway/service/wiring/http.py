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
from gateway.http.caller import Callers
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
from gateway.http.selection import Selections
from gateway.http.sessions import Sessions
from gateway.http.state import StateHandler
from gateway.http.static import add_static_files
from gateway.http.stream import StreamHandler
from gateway.http.terms import PollingTerms
from gateway.migration.components import Components
from gateway.migration.stream_plan import StreamPlans
from gateway.ports.clock import Clock
from gateway.runtime.refusals import Refusals
from gateway.runtime.slices import Slices
from gateway.service.settings import Settings
from gateway.service.wiring.access import make_head_limits
from gateway.service.wiring.administration import add_administration
from gateway.service.wiring.entities import id_aliases, owned_types, without_source
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
    history, hub, evidence = stored.history, delivery.hub, gateway.migration.evidence
    routes = gateway.upstreams.source.routes
    selections = Selections(
        id_aliases(settings), frozenset(name for route in routes for name in route.parameters)
    )
    components = Components(owned_types(settings), flags.store.snapshot, without_source(settings))
    callers = Callers(flags.preferences)
    sessions = Sessions(components, callers, clients, are_given=settings.flags.session_cookie)
    marks.add(sessions.mark)
    terms = PollingTerms(components, callers, sessions, flags.store.revisions)
    stream_plans = StreamPlans(components, callers.current)
    reassign = partial(hub.reassign, stream_plans.reassignment)
    flags.store.subscribe(lambda before, after: reassign())
    states, resumes = delivery.states, delivery.resumes
    scanner = Scanner(history, delivery.archive, Slices(clock), delivery.revoked.revocations)
    limits = PublishLimits(**settings.publish.model_dump(), body_seconds=body_seconds)
    options = _stream_options(settings)
    interest, loop = gateway.upstreams.interest, asyncio.get_running_loop()
    long_answers = LongAnswers()
    request_limits = RequestLimits(gateway.admission, clients)
    check_rate = request_limits.check_rate
    publish = PublishHandler(stored.log, clock, limits, partial(check_rate, "publish_per_second"), trail)
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
    add_administration(app, settings, clock, flags, gateway.migration, clients, selections, marks)
    lists = add_legacy_routes(
        app,
        gateway.upstreams.source,
        terms,
        lambda: history.cursor_at(history.head_position),
        clients,
        long_answers,
    )
    if way == "front_door":
        at_once: dict[Handler, AtOnce] = {streams.get: streams.at_once, **lists}
        app[FRONT_DOOR] = FrontDoor(
            *(app.router, at_once, front, marks, refusals, delivery.sockets, options),
            make_head_limits(settings),
        )


def _stream_options(settings: Settings) -> StreamOptions:
    return StreamOptions(
        heartbeat_seconds=settings.stream.heartbeat_seconds,
        retry_ms=settings.stream.retry_ms,
        debounce_ms=settings.hints.debounce_ms,
        max_wait_ms=settings.hints.max_wait_ms,
        write_buffer_bytes=settings.stream.write_buffer_bytes,
        gzip=settings.stream.compression == "gzip",
    )
