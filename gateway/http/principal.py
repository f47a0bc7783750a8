"""Whose request it is: as whom it was let in, for the handlers."""

from aiohttp import web

from gateway.access.principal import Principal
from gateway.http.request_head import RequestHead

PRINCIPAL = web.RequestKey("principal", Principal)


def principal_of(request: RequestHead) -> Principal:
    """The caller of a request that was let in (gateway/http/admittance.py). Of any other it raises KeyError.

    There is no caller by default: whoever forgets to ask for one would let in everybody.
    """
    principal: Principal = request[PRINCIPAL]
    return principal
