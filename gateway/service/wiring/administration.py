"""The parts behind administration and telemetry, put together (docs/protocol.md, section 8)."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from flags.guard.telemetry import Telemetry
from flags.store.local_kills import LocalKills
from flags.store.preferences import Preferences
from gateway.http.admin.flags import AdminHandler
from gateway.http.admin.guard import GuardHandler
from gateway.http.admin.insight import InsightHandler
from gateway.http.poll_recorder import PollRecorder
from gateway.http.telemetry import TelemetryHandler
from gateway.migration.guard_loop import Guardian
from gateway.migration.guard_windows import GuardWindows
from gateway.migration.parity_sampler import ParitySampler
from gateway.migration.poll_inventory import Pollers
from gateway.migration.stream_evidence import Audience
from gateway.ports.clock import Clock
from gateway.ports.legacy_route import LegacyRoute


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
