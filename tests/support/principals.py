"""Callers who say themselves who they are, for tests of what is done by subject."""

from dataclasses import replace

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.access.principal import OPEN
from gateway.core.credentials import NOBODY, Credentials
from gateway.http.principal import PRINCIPAL
from gateway.service.app import GATEWAY

SUBJECT = "Test-Subject"
KEY = "Test-Key"
ISSUED_AT = "Test-Issued-At"
EXPIRES_AT = "Test-Expires-At"


def believe_callers(app: web.Application) -> None:
    """Makes the caller of each request the subject, or the static key, that it names in its header.

    One that names none is whoever comes where there is no authentication. One that is revoked is refused.
    """

    @web.middleware
    async def believing(request: web.Request, handler: Handler) -> web.StreamResponse:
        times = [request.headers.get(name) for name in (ISSUED_AT, EXPIRES_AT)]
        issued_at, expires_at = (None if time is None else float(time) for time in times)
        subject, key = request.headers.get(SUBJECT), request.headers.get(KEY)
        credentials = Credentials(subject, None, key, issued_at, expires_at)
        request.app[GATEWAY].delivery.revoked.check(credentials)
        request[PRINCIPAL] = OPEN if credentials == NOBODY else replace(OPEN, credentials=credentials)
        return await handler(request)

    app.middlewares.append(believing)
