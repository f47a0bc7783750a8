"""Whose request it is: what the front door found out, for the handlers."""

from aiohttp import web

from gateway.access.principal import OPEN, Principal

PRINCIPAL = web.RequestKey("principal", Principal)


def principal_of(request: web.Request) -> Principal:
    """The request's caller. Without authentication there is one for all."""
    principal: Principal = request.get(PRINCIPAL, OPEN)
    return principal
