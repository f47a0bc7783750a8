"""The parts behind administration and telemetry, put together (docs/protocol.md, section 8)."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from adapters.upstream.route import LegacyRoute
from flags.local_kills import LocalKills
from flags.preferences import Preferences
from flags.telemetry import Telemetry
from gateway.audience import Audience
from gateway.clock import Clock
from gateway.guard_windows import GuardWindows
from gateway.guardian import Guardian
from gateway.handlers.admin import AdminHandler
from gateway.handlers.admin_insight import InsightHandler
from gateway.handlers.guard import GuardHandler
from gateway.handlers.poll_recorder import PollRecorder
from gateway.handlers.telemetry import TelemetryHandler
from gateway.parity_sampler import ParitySampler
from gateway.pollers import Pollers


def add_administration(
    app: web.Application,
    store: LocalKills,
    preferences: Preferences,
    windows: GuardWindows,
    telemetry: Telemetry,
    audience: Audience,
    pollers: Pollers,
    guardian: Guardian,
    clock: Clock,
    owned: Mapping[str, frozenset[str]],
    id_aliases: Mapping[str, str],
    routes: Sequence[LegacyRoute],
    parity: ParitySampler,
) -> None:
    """Registers `/api/v1/admin` and telemetry, and notes who polls and what came of it.

    `owned` are the entity types of each configured component.
    """
    app.on_response_prepare.append(PollRecorder(pollers, windows.of, clock, routes, owned, id_aliases).note)
    for handler in (
        AdminHandler(store, owned),
        InsightHandler(store, clock, pollers, telemetry, owned, preferences, parity),
        GuardHandler(guardian),
        TelemetryHandler(telemetry, audience.reporters, clock),
    ):
        handler.add_routes(app)
