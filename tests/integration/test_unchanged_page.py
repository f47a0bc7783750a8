"""Browsers whose page knows nothing of flags, through a migration forth and back: each stays on its side."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.admin import ORDERS, Operator, operator
from tests.support.api import Client, event, eventually
from tests.support.chromium import Browser, Page, browsing
from tests.support.gateway import GatewayThread, make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import listening

PAGES = Path(__file__).parent / "pages"
PROFILES = 20
CONNECTING, OPEN, CLOSED = 0, 1, 2
"""What an EventSource says of itself (HTML, section 9.2.2)."""


class Crowd:
    """Browsers of as many people, each with a profile of its own, and what is published for them."""

    def __init__(self, pages: list[Page], client: Client, admin: Operator) -> None:
        self._pages = pages
        self._client = client
        self._admin = admin
        self._published = 0
        self._loaded_at = 0

    async def set(self, **fields: Any) -> None:
        assert (await self._admin.patch(**fields)).status_code == 200

    async def roll_back(self) -> None:
        assert (await self._admin.post(f"{ORDERS}/rollback")).status_code == 200

    async def reload(self) -> None:
        self._loaded_at = self._published
        for page in self._pages:
            await page.value("told.isOld = true")
            await page.reload()

    async def publish(self) -> None:
        """Five events more, each with the next number."""
        numbers = range(self._published + 1, self._published + 6)
        kinds = ("stage_change", "payment_update")
        await self._client.publish(
            *(event(number, of="A", eventType=kinds[number % 2]) for number in numbers)
        )
        self._published = numbers[-1]

    async def sides(self) -> list[bool]:
        """Which of the pages stream; the others poll. Each of them is settled by then."""
        return [await self._side(page) for page in self._pages]

    async def _side(self, page: Page) -> bool:
        found: dict[str, Any] = {}

        async def is_settled() -> bool:
            told = await page.value("told.isOld ? null : ({...told, state: source.readyState})")
            found.update(told or {})
            return bool(told) and (told["state"] == OPEN or bool(told["polls"]))

        await eventually(is_settled, "a page streams or polls")
        return bool(found["state"] == OPEN)

    async def check(self, sides: list[bool]) -> None:
        """Nobody who streams has missed an event, or got one twice; and each one's poller is on its side."""
        await self.publish()
        for page, streams in zip(self._pages, sides, strict=True):
            if streams:
                await self._has_all(page)
            seen = await page.value("told.seen")
            assert seen == [self._loaded_at + 1 + number for number in range(len(seen))]
            mode = await page.value(
                "fetch('/api/v1/orders').then((answer) => answer.headers.get('Fetch-Mode'))"
            )
            assert mode == ("streaming" if streams else "polling")

    async def _has_all(self, page: Page) -> None:
        async def has_all() -> bool:
            return bool(await page.value("told.seen.at(-1)") == self._published)

        await eventually(has_all, f"a page that streams has got event {self._published}")

    async def becomes(self, sides: list[bool]) -> None:
        """Waits until exactly these stream."""

        async def has_become() -> bool:
            return await self.sides() == sides

        await eventually(has_become, "each page is on its side")

    async def stopped(self, pages: list[bool]) -> None:
        """Waits until the streams of these pages are given up for good."""
        for page, is_one in zip(self._pages, pages, strict=True):
            if is_one:

                async def is_closed(page: Page = page) -> bool:
                    return bool(await page.value("source.readyState") == CLOSED)

                await eventually(is_closed, "a page was told to stop")


async def backend(request: web.Request) -> web.StreamResponse:
    """The application before the gateway: its list, and the page below it."""
    name = request.match_info["name"]
    if name:
        return web.FileResponse(PAGES / name)
    return web.Response(body=listed(order("A")), content_type="application/json")


@asynccontextmanager
async def a_crowd(
    start_gateway: Callable[..., GatewayThread], browser: Browser, directory: Path
) -> AsyncIterator[Crowd]:
    app = web.Application()
    app.router.add_get("/orders{slash:/?}{name:.*}", backend)
    async with listening(app) as url:
        settings = make_settings(
            flags={"store": f"file:{directory}/flags.json"},
            entities={"order": {"id_alias": "orderID"}},
            legacy=[route_settings(f"{url}/orders", 2.0, events="external")],
        )
        gateway = start_gateway(settings)
        async with operator(gateway.port) as admin:
            await admin.make(stage="live", percentage=25)
            page = f"http://127.0.0.1:{gateway.port}{PATH}/unchanged.html"
            pages = [await browser.open(page) for _ in range(PROFILES)]
            yield Crowd(pages, Client(gateway.port), admin)


async def test_each_browser_stays_on_its_side_through_a_migration_and_back(
    start_gateway: Callable[..., GatewayThread], tmp_path: Path
) -> None:
    async with browsing(tmp_path) as browser, a_crowd(start_gateway, browser, tmp_path) as crowd:
        at_25 = await crowd.sides()
        await crowd.check(at_25)
        await crowd.reload()
        assert await crowd.sides() == at_25

        await crowd.set(percentage=50)
        await crowd.reload()
        at_50 = await crowd.sides()
        assert all(after for before, after in zip(at_25, at_50, strict=True) if before)
        assert set(at_50) == {True, False}
        await crowd.check(at_50)
        for _ in range(2):
            await crowd.reload()
            assert await crowd.sides() == at_50

        await crowd.set(percentage=100)
        await crowd.reload()
        assert await crowd.sides() == [True] * PROFILES
        await crowd.check([True] * PROFILES)

        await crowd.roll_back()
        await crowd.becomes(at_50)
        await crowd.check(at_50)
        await crowd.stopped([not streams for streams in at_50])
        await crowd.reload()
        assert await crowd.sides() == at_50

        await crowd.set(percentage=100)
        await crowd.reload()
        assert await crowd.sides() == [True] * PROFILES
        await crowd.check([True] * PROFILES)
