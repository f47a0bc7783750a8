"""Callers who say themselves who they are, for tests of what is done by subject."""

from dataclasses import replace

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.access.principal import OPEN
from gateway.core.credentials import NOBODY, Credentials
from gateway.http.front_door import FRONT_DOOR, AtOnce, Found
from gateway.http.principal import PRINCIPAL
from gateway.http.request_head import RequestHead
from gateway.service.app import GATEWAY

SUBJECT = "Test-Subject"
KEY = "Test-Key"
ISSUED_AT = "Test-Issued-At"
EXPIRES_AT = "Test-Expires-At"


def believe_callers(app: web.Application) -> None:
    """Makes the caller of each request the subject, or the static key, that it names in its header.

    One that names none is whoever comes where there is no authentication. One that is revoked is refused.
    """

    def believe(request: RequestHead) -> None:
        times = [request.headers.get(name) for name in (ISSUED_AT, EXPIRES_AT)]
        issued_at, expires_at = (None if time is None else float(time) for time in times)
        subject, key = request.headers.get(SUBJECT), request.headers.get(KEY)
        credentials = Credentials(subject, None, key, issued_at, expires_at)
        app[GATEWAY].delivery.revoked.check(credentials)
        request[PRINCIPAL] = OPEN if credentials == NOBODY else replace(OPEN, credentials=credentials)

    @web.middleware
    async def believing(request: web.Request, handler: Handler) -> web.StreamResponse:
        believe(request)
        return await handler(request)

    def at_once(way: AtOnce) -> AtOnce:
        def believing_at_once(request: RequestHead) -> Found | None:
            believe(request)
            return way(request)

        return believing_at_once

    app.middlewares.append(believing)
    door = app.get(FRONT_DOOR)
    if door is not None:
        # What is in front of its handlers as middlewares are in front of aiohttp's.
        door._at_once = {handler: at_once(way) for handler, way in door._at_once.items()}
