"""The demo's made-up clients: each polls under its own id, and goes on whatever it is answered."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.demo import pollers
from tests.support.http import DEADLINE_SECONDS

Answer = Callable[[web.Request], Awaitable[web.Response]]


@contextlib.asynccontextmanager
async def polled(answer: Answer) -> AsyncIterator[None]:
    """The made-up clients poll a server with these answers."""
    app = web.Application()
    app.router.add_get(pollers.LIST_PATH, answer)
    async with TestServer(app) as server, asyncio.timeout(DEADLINE_SECONDS):
        address = str(server.make_url("")).rstrip("/")
        polling = asyncio.create_task(pollers.run(address, random.Random(1), every_seconds=0.01))
        try:
            yield
        finally:
            polling.cancel()
            await asyncio.wait({polling})


async def test_each_has_its_own_id_and_asks_for_what_it_has_not_got() -> None:
    known, again = set(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        client, etag = request.headers["Tidegate-Client-Id"], request.headers.get("If-None-Match")
        if etag is None:
            return web.Response(headers={"ETag": f'"{client}"', "Set-Cookie": "tidegate_session=x"})
        assert etag == f'"{client}"'
        assert "Cookie" not in request.headers
        known.add(client)
        if known == set(pollers.CLIENTS):
            again.set()
        return web.Response(status=304)

    async with polled(answer):
        await again.wait()


async def test_they_go_on_after_answers_that_are_none() -> None:
    asked, enough = 0, asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked % 2:
            assert request.transport is not None
            request.transport.abort()
        if asked > 5 * len(pollers.CLIENTS):
            enough.set()
        return web.Response(status=410)

    async with polled(answer):
        await enough.wait()
