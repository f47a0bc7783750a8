"""The demo's page on the gateway's own address, so that the browser may call both."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import UpstreamError

_HERE = Path(__file__).parent
_STATS_SECONDS = 2.0
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
    "/demo/demo.css": _Asset("demo.css", "text/css"),
    "/demo/demo.js": _Asset("demo.js", "text/javascript"),
}


def add_page(app: web.Application, backend: str) -> None:
    """Adds the page at `/`, its files, and `/demo/stats`: the counts of the orders application at `backend`.

    Raises OSError where a file of the page can't be read.
    """
    for path, asset in _ASSETS.items():
        app.router.add_get(path, _sender((_HERE / asset.file).read_bytes(), asset.content_type))
    stats = _Stats(f"{backend}/stats")
    app.cleanup_ctx.append(stats.lifespan)
    app.router.add_get("/demo/stats", stats.handle)


def _sender(body: bytes, content_type: str) -> Handler:
    async def send(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers=_HEADERS, content_type=content_type, charset="utf-8")

    return send


class _Stats:
    """Passes on the orders application's counts, which the page could not read across origins."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def lifespan(self, _app: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=_STATS_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as self._session:
            yield

    async def handle(self, _request: web.Request) -> web.Response:
        assert self._session is not None, "requests come after the start"
        try:
            async with self._session.get(self._url) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UpstreamError("The demo's orders application gave no counts.") from error
        return web.Response(body=body, headers={"Cache-Control": "no-store"}, content_type="application/json")
