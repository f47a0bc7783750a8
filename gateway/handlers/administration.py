"""The parts behind administration and telemetry, put together (docs/protocol.md, section 8)."""

from collections.abc import Callable, Mapping

from aiohttp import web

from adapters.upstream import UpstreamSource
from flags.preferences import Preferences
from flags.store import FlagStore
from flags.telemetry import Telemetry
from gateway.clock import Clock
from gateway.guard_windows import GuardWindows
from gateway.handlers.admin import AdminHandler
from gateway.handlers.admin_insight import InsightHandler
from gateway.handlers.poll_recorder import PollRecorder
from gateway.handlers.telemetry import TelemetryHandler
from gateway.parity_sampler import ParitySampler
from gateway.pollers import Pollers


def add_administration(
    app: web.Application,
    store: FlagStore,
    preferences: Preferences,
    windows: GuardWindows,
    telemetry: Telemetry,
    clock: Clock,
    owned: Mapping[str, frozenset[str]],
    id_aliases: Mapping[str, str],
    upstreams: UpstreamSource,
    parity: ParitySampler,
) -> None:
    """Registers `/api/v1/admin` and telemetry, and notes who polls.

    `owned` are the entity types of each configured component.
    """
    pollers = Pollers(windows.knows, _requests_of(upstreams))
    app.on_response_prepare.append(PollRecorder(pollers, clock, upstreams.routes, owned, id_aliases).note)
    for handler in (
        AdminHandler(store),
        InsightHandler(store, clock, pollers, telemetry, owned, preferences, parity),
        TelemetryHandler(telemetry, clock),
    ):
        handler.add_routes(app)


def _requests_of(upstreams: UpstreamSource) -> Callable[[str], int]:
    """How often a component's upstreams were asked on everybody's behalf."""

    def asked(component: str) -> int:
        return sum(
            upstreams.counters[route.path].polls for route in upstreams.routes if route.component == component
        )

    return asked
