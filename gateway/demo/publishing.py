"""`/publishing` of the orders application: to whom it publishes, and what is wrong with that on purpose."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web
from yarl import URL

from gateway.demo.publisher import Fault, Publisher

PUBLISHING_PATH = "/publishing"


class PublishingHandler:
    """GET shows the publisher's state; PATCH `{"gateway"?, "fault"?}` changes it, all of it or nothing."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PUBLISHING_PATH, self.get, name="publishing"),
            web.patch(PUBLISHING_PATH, self.patch, name="publish"),
        ]

    async def get(self, _request: web.Request) -> web.Response:
        publisher = self._publisher
        state = {
            "gateway": publisher.gateway,
            "fault": publisher.fault,
            "waiting": publisher.waiting,
            "published": publisher.published,
            "retries": publisher.retries,
            "refused": publisher.refused,
        }
        body = orjson.dumps(state)
        return web.Response(body=body, headers={"Cache-Control": "no-store"}, content_type="application/json")

    async def patch(self, request: web.Request) -> web.Response:
        given = _members(request, await request.read())
        # Both are checked before the first is set; and the fault comes first, for only that can fail.
        values = {name: _PARSERS[name](value) for name, value in given.items()}
        if "fault" in values:
            self._publisher.set_fault(values["fault"])
        if "gateway" in values:
            self._publisher.gateway = values["gateway"]
        return await self.get(request)


def _members(request: web.Request, body: bytes) -> Mapping[str, Any]:
    # Only this type makes a browser ask first whether a page of another site may send it.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="The body must be application/json.")
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"The body is not JSON: {error}.") from None
    if not isinstance(given, dict) or not given or not given.keys() <= _PARSERS.keys():
        raise web.HTTPUnprocessableEntity(text=f"The body must be an object with {' and '.join(_PARSERS)}.")
    return given


def _fault(value: object) -> Fault:
    for fault in Fault:
        if value == fault:
            return fault
    raise web.HTTPUnprocessableEntity(text=f"fault must be one of {', '.join(Fault)}.")


def _gateway(value: object) -> str:
    """An address on this machine: the demo has no business elsewhere."""
    try:
        url = URL(value) if isinstance(value, str) else URL()
        local = ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        local = False
    if not local or url.scheme != "http" or url != url.origin():
        raise web.HTTPUnprocessableEntity(
            text="gateway must be an address of this machine, such as http://127.0.0.1:8080."
        )
    return str(url).rstrip("/")


_PARSERS: Mapping[str, Callable[[object], Any]] = {"gateway": _gateway, "fault": _fault}
