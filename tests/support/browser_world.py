"""Browsers before a gateway, with a faulty network between them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.support.admin import ORDERS, Operator, operator
from tests.support.api import Client
from tests.support.browser import Tab
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.gateway import GatewayThread, make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.publisher import Publisher
from tests.support.tokens import bearer, mint

PAGES = Path(__file__).parents[1] / "browser" / "pages"
HEARTBEAT_SECONDS = 1.0
"""Of the gateway, where a test does not say otherwise; a page whose clock runs faster wants a longer one."""


BOTH_WAYS = pytest.mark.parametrize("shared", [True, False], ids=["shared", "alone"])
"""For what has to hold whether a tab leads those of its profile, which is how it is, or is on its own."""
SPEED = 10
"""How much faster the clock of a page runs whose client would have a test wait."""
FAST = {"stream": {"heartbeat_seconds": 60.0}}
"""Sections of the gateway for such pages, which miss no heartbeat for as long as a test takes."""


class World:
    """A gateway behind a faulty proxy, whose origin is that of the pages, and who publishes to it.

    The component `orders` owns orders; it has no flag until a test makes one.
    """

    def __init__(self, browser: Browser, directory: Path, sections: dict[str, Any]) -> None:
        self._browser = browser
        self._sections = {
            "flags": {"store": f"file:{directory / 'flags.json'}"},
            "components": {"orders": {"entities": ["order"]}},
        } | sections
        self._sections["stream"] = {"heartbeat_seconds": HEARTBEAT_SECONDS} | sections.get("stream", {})
        self.tabs: list[Tab] = []
        self.gateway = self._start()
        self.publisher = Publisher(lambda: self.gateway.port)
        self.proxy: FaultyProxy

    @property
    def client(self) -> Client:
        """A client of the gateway, past the proxy."""
        return Client(self.gateway.port, self.publisher.token)

    async def profile(self) -> BrowserContext:
        """A browser of somebody else: it shares no storage and no lock with the others."""
        return await self._browser.new_context()

    async def open(
        self, context: BrowserContext | None = None, origin: str | None = None, **options: Any
    ) -> Tab:
        """A tab (in a profile of its own, unless one is given) that follows orders, or what `options` say.

        They are those of `Tab.open`. Its page is of the proxy's origin, unless another one is given.
        """
        given = {"entities": ["order"], "telemetry": False} | options
        tab = await Tab.open(context or await self.profile(), origin or self.proxy.origin, **given)
        self.tabs.append(tab)
        return tab

    async def stop(self) -> None:
        """Drains the gateway and ends it; who comes then is refused."""
        await asyncio.to_thread(self.gateway.stop)
        assert self.gateway.errors == []

    async def restart(self) -> None:
        """The gateway again. What it knew is gone, but for what is in its files."""
        await self.stop()
        self.gateway = await asyncio.to_thread(self._start)
        self.proxy.target_port = self.gateway.port

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Operator]:
        """An operator of the gateway, with a token where the publisher has one."""
        async with operator(self.gateway.port) as admin:
            if self.publisher.token is not None:
                admin.http.headers.update([bearer(mint("operator", admin=True))])
            yield admin

    async def flag(self, **fields: Any) -> None:
        """Makes the flag of `orders`, or changes it."""
        async with self.operator() as admin:
            known = await admin.get(ORDERS)
            if known.status_code == 404:
                await admin.make(**fields)
            else:
                answer = await admin.patch(**fields)
                assert answer.status_code == 200, answer.text

    async def connections(self) -> list[dict[str, Any]]:
        """The streams that are open at the gateway."""
        async with self.operator() as admin:
            listed: list[dict[str, Any]] = (await admin.get("/api/v1/admin/connections")).json()[
                "connections"
            ]
            return listed

    async def has_streams(self, count: int) -> None:
        """Waits until as many streams are open at the gateway."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(await self.connections()) != count:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.02)

    def _start(self) -> GatewayThread:
        gateway = GatewayThread(make_settings(**self._sections))
        gateway.start()
        return gateway


@asynccontextmanager
async def a_world(browser: Browser, directory: Path, **sections: Any) -> AsyncIterator[World]:
    """A world whose gateway has these sections of settings. At the end no page had an error of its own."""
    world = World(browser, directory, sections)
    try:
        async with faulty_proxy(world.gateway.port, PAGES) as world.proxy:
            try:
                yield world
            finally:
                for tab in world.tabs:
                    await tab.page.context.close()
        unhandled = [tab.errors for tab in world.tabs if tab.errors]
        assert not unhandled, f"errors that nobody handled: {unhandled}"
    finally:
        await world.stop()


def durable(directory: Path) -> dict[str, Any]:
    """The section of settings of a log that outlives the gateway."""
    return {"log": {"url": f"sqlite:///{directory / 'log.db'}"}}


Worlds = Callable[..., Any]
"""`a_world` of the session's browser and the test's directory."""
