"""The demo's page on the gateway's own address, so that the browser may call both."""

import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from flags.decide.rollout import in_cohort
from gateway.core.errors import InvalidInput
from gateway.demo.application import OrdersApplication
from gateway.demo.publisher import Fault
from gateway.http.admin.access import administrators_only
from gateway.http.json_body import read_object

STATS_PATH = "/demo/stats"
FAULT_PATH = "/demo/fault"
FIRST_TENTH_PATH = "/demo/first-tenth"

MAX_BODY_BYTES = 1024

_COMPONENT = "orders"
_FIRST_PERCENTAGE = 10
_OTHER_NAMES = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
"""What else a browser calls this machine: it opens six connections to each name, and a stream takes one."""

_HERE = Path(__file__).parent
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class _Asset(NamedTuple):
    file: str
    content_type: str


_ASSETS: Mapping[str, _Asset] = {
    "/": _Asset("index.html", "text/html"),
    "/demo/cohorts.js": _Asset("cohorts.js", "text/javascript"),
    "/demo/controls.js": _Asset("controls.js", "text/javascript"),
    "/demo/demo.css": _Asset("demo.css", "text/css"),
    "/demo/demo.js": _Asset("demo.js", "text/javascript"),
    "/demo/gateway.js": _Asset("gateway.js", "text/javascript"),
    "/demo/migration.js": _Asset("migration.js", "text/javascript"),
    "/demo/panel.js": _Asset("panel.js", "text/javascript"),
    "/demo/pushed.js": _Asset("pushed.js", "text/javascript"),
    "/demo/room.js": _Asset("room.js", "text/javascript"),
}


def add_page(app: web.Application, backend: str) -> None:
    """Adds the page at `/`, its files, and what else it needs of the orders application at `backend`.

    `/demo/stats` has the application's counts, `/demo/fault` what is wrong with its publishing, and
    `/demo/first-tenth` is the page for a new client that a rollout to 10 % lets stream. Raises OSError where
    a file of the page can't be read.
    """
    for path, asset in _ASSETS.items():
        app.router.add_get(path, _sender((_HERE / asset.file).read_bytes(), asset.content_type))
    app.router.add_get(FIRST_TENTH_PATH, _send_to_first_tenth)
    application = _Application(backend)
    app.cleanup_ctx.append(application.lifespan)
    app.router.add_get(STATS_PATH, application.stats)
    app.router.add_get(FAULT_PATH, application.fault)
    app.router.add_put(FAULT_PATH, administrators_only(application.set_fault))


def _sender(body: bytes, content_type: str) -> Handler:
    async def send(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers=_HEADERS, content_type=content_type, charset="utf-8")

    return send


async def _send_to_first_tenth(request: web.Request) -> web.Response:
    """On to the page for a client that was never there, by another name of this machine where it has one."""
    client = _client_id()
    while not in_cohort(_COMPONENT, client, _FIRST_PERCENTAGE):
        client = _client_id()
    address = request.url.origin()
    address = address.with_host(_OTHER_NAMES.get(address.host or "", address.host or ""))
    raise web.HTTPFound(
        address.with_path("/").with_query(client=client), headers={"Cache-Control": "no-store"}
    )


def _client_id() -> str:
    return f"browser-{secrets.token_hex(3)}"


class _Application:
    """Passes on what the page could not ask the orders application for across origins."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._application: OrdersApplication | None = None

    async def lifespan(self, _app: web.Application) -> AsyncIterator[None]:
        async with OrdersApplication.at(self._address) as self._application:
            yield

    async def stats(self, _request: web.Request) -> web.Response:
        return _json(await self._running.stats())

    async def fault(self, _request: web.Request) -> web.Response:
        return _json(_fault_of(await self._running.publishing()))

    async def set_fault(self, request: web.Request) -> web.Response:
        """Takes `{"fault": "stale-push"}` or `{"fault": "none"}`. Raises InvalidInput for anything else."""
        given = await read_object(request, MAX_BODY_BYTES)
        if given.keys() != {"fault"} or given["fault"] not in list(Fault):
            place = {"pointer": "/fault", "detail": f"must be {' or '.join(Fault)}"}
            raise InvalidInput("Nothing was changed.", errors=[place])
        return _json(_fault_of(await self._running.publish(fault=given["fault"])))

    @property
    def _running(self) -> OrdersApplication:
        assert self._application is not None, "requests come after the start"
        return self._application


def _fault_of(publishing: Mapping[str, Any]) -> dict[str, Any]:
    return {"fault": publishing["fault"]}


def _json(content: Mapping[str, Any]) -> web.Response:
    body = orjson.dumps(content)
    return web.Response(body=body, headers={"Cache-Control": "no-store"}, content_type="application/json")
