"""`POST /api/v1/sync/telemetry`: what clients saw of their delivery (docs/protocol.md, section 8)."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from flags.decide.modes import Mode
from flags.errors import InvalidFlag
from flags.guard.reporters import Reporters
from flags.guard.telemetry import ClientReport, Fallback, Receipt, Telemetry
from flags.wire_model import Name, Text, WireModel
from gateway.core.errors import InvalidInput, TooManyRequests
from gateway.http.caller import software_of
from gateway.http.client_address import Clients
from gateway.http.hosts import is_loopback
from gateway.http.json_body import read_object
from gateway.ports.clock import Clock

TELEMETRY_PATH = "/api/v1/sync/telemetry"
MAX_BODY_BYTES = 4096
MAX_FIRST_EVENT_MS = 86_400_000

Milliseconds = Annotated[float, Field(ge=0, le=MAX_FIRST_EVENT_MS, allow_inf_nan=False)]


class Report(WireModel):
    """One report as a client sends it."""

    client_id: Text
    component: Name
    mode: Annotated[Mode, Field(strict=False)]
    client_version: Text
    first_event_ms: Milliseconds | None = None
    fallback: Annotated[Fallback, Field(strict=False)] | None = None


class TelemetryHandler:
    """Takes reports in, within each client's rate, and notes which software makes them."""

    def __init__(self, telemetry: Telemetry, reporters: Reporters, clients: Clients, clock: Clock) -> None:
        self._telemetry = telemetry
        self._reporters = reporters
        self._clients = clients
        self._clock = clock

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(TELEMETRY_PATH, self.post)

    async def post(self, request: web.Request) -> web.Response:
        """202 for a report that was taken.

        Raises InvalidInput where it breaks the rules or is about no component of this gateway, and
        TooManyRequests where the client's address, or all of them together, sent too many.
        """
        try:
            report = Report.parse(await read_object(request, MAX_BODY_BYTES))
        except InvalidFlag as error:
            raise InvalidInput("The report was not taken.", errors=error.errors) from error
        names = (report.client_version, *software_of(request).names)
        receipt, wait_seconds = self._telemetry.report(
            ClientReport(client=self._whom_to_limit(request), **dict(report)), self._clock.monotonic()
        )
        if receipt is Receipt.LIMITED:
            raise TooManyRequests("There are too many reports: send fewer.", wait_seconds)
        if receipt is Receipt.UNKNOWN_COMPONENT:
            place = {"pointer": "/component", "detail": "is not configured here, and has no flag"}
            raise InvalidInput("The report was not taken.", errors=[place])
        self._reporters.add(names)
        return web.Response(status=202)

    def _whom_to_limit(self, request: web.Request) -> str | None:
        """The client's address; None for one of loopback, which is a proxy's as likely as a client's."""
        address = self._clients.address_of(request)
        return None if address is None or is_loopback(address) else address
