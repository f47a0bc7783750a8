"""The parts behind administration and telemetry, put together (docs/protocol.md, section 8)."""

from aiohttp import web

from gateway.http.admin.flags import AdminHandler
from gateway.http.admin.guard import GuardHandler
from gateway.http.admin.insight import InsightHandler
from gateway.http.client_address import Clients
from gateway.http.marks import Marks
from gateway.http.poll_recorder import PollRecorder
from gateway.http.telemetry import TelemetryHandler
from gateway.ports.clock import Clock
from gateway.service.settings import Settings
from gateway.service.wiring.deciding import Deciding
from gateway.service.wiring.entities import owned_types, without_source
from gateway.service.wiring.flags import Flags
from gateway.service.wiring.migration import Migration


def add_administration(
    app: web.Application,
    settings: Settings,
    clock: Clock,
    flags: Flags,
    migration: Migration,
    clients: Clients,
    deciding: Deciding,
    marks: Marks,
) -> None:
    """Registers `/api/v1/admin` and telemetry, and notes who polls and what came of it."""
    owned = owned_types(settings)
    poll_inventory, telemetry = migration.poll_inventory, migration.telemetry
    recorder = PollRecorder(
        *(poll_inventory, migration.windows, clock, owned, deciding.selections),
        *(flags.store.snapshot, deciding.components, clients.address_of),
    )
    marks.add(recorder.note)
    for handler in (
        AdminHandler(flags.store, owned),
        InsightHandler(
            *(flags.store, migration.summaries, owned, flags.preferences, migration.parity),
            gives_sessions=settings.flags.session_cookie,
            without_source=without_source(settings),
        ),
        GuardHandler(migration.guard_loop, migration.guard_sums, migration.summaries),
        TelemetryHandler(telemetry, migration.reported, clients, clock),
    ):
        handler.add_routes(app)
