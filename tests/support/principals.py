"""Callers who say themselves who they are, for tests of what is done by subject."""

from dataclasses import replace

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.access.principal import OPEN
from gateway.core.credentials import NOBODY, Credentials
from gateway.http.principal import PRINCIPAL

SUBJECT = "Test-Subject"
KEY = "Test-Key"


def believe_callers(app: web.Application) -> None:
    """Makes the caller of each request the subject, or the static key, that it names in its header.

    One that names none is whoever comes where there is no authentication.
    """

    @web.middleware
    async def believing(request: web.Request, handler: Handler) -> web.StreamResponse:
        credentials = Credentials(subject=request.headers.get(SUBJECT), key=request.headers.get(KEY))
        request[PRINCIPAL] = OPEN if credentials == NOBODY else replace(OPEN, credentials=credentials)
        return await handler(request)

    app.middlewares.append(believing)
