"""`POST /api/v1/sync/telemetry`: what clients saw of their delivery (docs/protocol.md, section 8)."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from flags.decide.modes import Mode
from flags.errors import InvalidFlag
from flags.guard.telemetry import ClientReport, Fallback, Receipt, Telemetry
from flags.guard.who import Who
from flags.wire_model import Name, Text, WireModel
from gateway.core.errors import InvalidInput, TooManyRequests
from gateway.core.networks import network_of
from gateway.http.attempt import PATTERN
from gateway.http.caller import software_of
from gateway.http.client_address import Clients
from gateway.http.hosts import is_loopback
from gateway.http.json_body import read_object
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead
from gateway.ports.clock import Clock

TELEMETRY_PATH = "/api/v1/sync/telemetry"
MAX_BODY_BYTES = 4096
MAX_FIRST_EVENT_MS = 86_400_000

Attempt = Annotated[str, StringConstraints(pattern=re.compile(rf"^{PATTERN}\Z"))]
Milliseconds = Annotated[float, Field(ge=0, le=MAX_FIRST_EVENT_MS, allow_inf_nan=False)]


class Report(WireModel):
    """One report as a client sends it."""

    client_id: Text | None = None
    attempt: Attempt | None = None
    component: Name
    mode: Annotated[Mode, Field(strict=False)]
    client_version: Text
    first_event_ms: Milliseconds | None = None
    fallback: Annotated[Fallback, Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _names_a_stream(self) -> Self:
        if self.client_id is None and self.attempt is None:
            raise PydanticCustomError("no_stream", "must have clientId or attempt")
        return self


class TelemetryHandler:
    """Takes reports in, within each client's rate, and notes which software makes them."""

    def __init__(
        self,
        telemetry: Telemetry,
        reported: Callable[[Sequence[str], str], None],
        clients: Clients,
        clock: Clock,
    ) -> None:
        self._telemetry = telemetry
        self._reported = reported
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
        address = self._clients.address_of(request)
        who = who_of(request, address)
        told = ClientReport(client=_whom_to_limit(address), who=who, proven=who.proven, **dict(report))
        receipt, wait_seconds = self._telemetry.report(told, self._clock.monotonic())
        if receipt is Receipt.LIMITED:
            raise TooManyRequests("There are too many reports: send fewer.", wait_seconds)
        if receipt is Receipt.UNKNOWN_COMPONENT:
            place = {"pointer": "/component", "detail": "is not configured here, and has no flag"}
            raise InvalidInput("The report was not taken.", errors=[place])
        self._reported(names, told.who.source)
        return web.Response(status=202)


def who_of(request: RequestHead, address: str | None) -> Who:
    """Who reports: its token's subject, else its address."""
    subject = principal_of(request).credentials.subject
    if subject is not None:
        return Who(f"s:{subject}")
    counted = network_of(address) or ""
    return Who(f"a:{counted}", counted)


def _whom_to_limit(address: str | None) -> str | None:
    """The client's address; None for one of loopback, which is a proxy's as likely as a client's."""
    return None if address is None or is_loopback(address) else address
