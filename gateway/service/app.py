"""The composition root: a gateway's parts and resources as one application, started and stopped with it."""

import platform
from collections.abc import AsyncIterator

from aiohttp import web

from flags.store.local_kills import ALONE, Others
from gateway.delivery.pace import USUAL, Pace
from gateway.http.admin.flags import LOCAL_KILLS
from gateway.http.audit import Trail
from gateway.http.client_address import Clients
from gateway.http.cors import CORS, Cors
from gateway.http.figures import PROCESS, Process
from gateway.http.front import Front
from gateway.http.hosts import Hosts
from gateway.http.json_body import BODY_BYTES, BODY_SECONDS
from gateway.http.marks import Marks
from gateway.http.server import HEAD
from gateway.ports.clock import Clock, SystemClock
from gateway.ports.log import EventLog
from gateway.runtime.refusals import REFUSALS, Refusals
from gateway.runtime.stopping import Closing
from gateway.service.settings import Settings
from gateway.service.wiring.access import make_head_limits
from gateway.service.wiring.http import Way, add_handlers
from gateway.service.wiring.parts import Gateway, make_gateway

GATEWAY = web.AppKey("gateway", Gateway)


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    way: Way = "front_door",
    log: EventLog | None = None,
    pace: Pace = USUAL,
    others: Others = ALONE,
    body_seconds: float = BODY_SECONDS,
) -> web.Application:
    """The gateway as an application of the running event loop.

    `log` is one that is not started yet, in place of that of `log.url`. `way` says how connections become
    streams, `pace` how finely the work for them is cut. `others` serve the same address. What is published
    has to arrive within `body_seconds`.
    """
    clock = clock or SystemClock()
    gateway = make_gateway(settings, clock, log, pace, others)
    origins = settings.cors.origins
    hosts, cors = Hosts(settings.server.names, origins), Cors(origins) if origins else None
    refusals, latencies = Refusals(), gateway.migration.latencies
    admittance = gateway.access.admittance(hosts, gateway.delivery.revoked.check)
    head = make_head_limits(settings)
    clients = Clients(settings.server.trusted_proxies)
    trail = Trail(gateway.audit.recorder, clients)
    front = Front(hosts, admittance, cors, refusals, latencies, clock.monotonic, head.head_bytes, trail)
    app = web.Application(middlewares=[front.middleware()])
    marks = Marks()
    app.on_response_prepare.append(marks.on_prepare)
    if cors is not None:
        app[CORS] = cors
        marks.add(cors.mark_answer)
    app[HEAD] = head
    app[BODY_BYTES] = settings.limits.body_bytes
    app[GATEWAY] = gateway
    app[REFUSALS] = refusals
    app[LOCAL_KILLS] = gateway.flags.store
    app[PROCESS] = Process(platform.node(), shares_log=settings.log.is_in_server)
    add_handlers(
        *(app, settings, clock, gateway, refusals, clients, trail, front, marks),
        way=way,
        body_seconds=body_seconds,
    )

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        async with Closing() as closing:
            # By now it is known whether this is one of several workers.
            gateway.migration.summaries.name = app[PROCESS].name
            await gateway.start(closing)
            yield

    async def drain(app: web.Application) -> None:
        await gateway.delivery.drain(settings.server.drain_seconds)

    app.cleanup_ctx.append(lifespan)
    app.on_shutdown.append(drain)
    return app
