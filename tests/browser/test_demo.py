"""The demo's page in a browser: both transports, and who looks at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.demo import address_of, running
from tests.support.http import DEADLINE_SECONDS

ORDERS = 12
_DEADLINE_MS = DEADLINE_SECONDS * 1000


class Demo:
    """The page in tabs of one browser."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser = browser
        self._address = address
        self.errors: list[str] = []
        self.tabs: list[Page] = []

    async def open(self) -> Page:
        """One more tab of the same browser."""
        context = self.tabs[0].context if self.tabs else await self._browser.new_context()
        tab = await context.new_page()
        tab.set_default_timeout(_DEADLINE_MS)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tabs.append(tab)
        await tab.goto(self._address)
        return tab

    async def move(self, stage: str, percentage: float = 100) -> None:
        """Moves the migration of the orders."""
        change = {"stage": stage, "percentage": percentage, "reason": "a test"}
        async with aiohttp.ClientSession() as session:
            answer = await session.patch(
                f"{self._address}api/v1/admin/flags/orders", json=change, headers={"If-Match": "*"}
            )
            assert answer.status == 200, await answer.text()


@asynccontextmanager
async def a_demo(browser: Browser, *options: str) -> AsyncIterator[Demo]:
    # Each step has its own deadline.
    async with running("--port", "0", *options, seconds=10 * DEADLINE_SECONDS) as process:
        demo = Demo(browser, await address_of(process))
        try:
            yield demo
        finally:
            for tab in demo.tabs[:1]:
                await tab.context.close()
        assert demo.errors == []


def rows(tab: Page, side: str) -> Locator:
    return tab.locator(f"#{side} tbody tr")


async def says(tab: Page, text: str, part: str = "#pushed .status") -> None:
    await expect(tab.locator(part)).to_have_text(text, timeout=_DEADLINE_MS)


async def has_users(tab: Page, *names: str) -> None:
    await expect(tab.locator("#room li")).to_have_text(sorted(names), timeout=_DEADLINE_MS)


async def name_is(tab: Page, name: str) -> None:
    await tab.locator("#room [name=name]").fill(name)
    await tab.locator("#room [name=name]").press("Enter")


async def test_the_pushed_side_polls_and_streams_as_the_migration_goes(browser: Browser) -> None:
    async with a_demo(browser) as demo:
        tab = await demo.open()
        await says(tab, "polling, as the gateway asks")
        await expect(rows(tab, "pushed")).to_have_count(ORDERS, timeout=_DEADLINE_MS)
        await expect(rows(tab, "polled")).to_have_count(ORDERS, timeout=_DEADLINE_MS)

        await demo.move("live")
        await says(tab, "streaming")
        await tab.locator("#create").click()
        await expect(rows(tab, "pushed")).to_have_count(ORDERS + 1, timeout=_DEADLINE_MS)

        await demo.move("shadow")
        await says(tab, "polling, as the gateway asks")
        await tab.locator("#create").click()
        await expect(rows(tab, "pushed")).to_have_count(ORDERS + 2, timeout=_DEADLINE_MS)


async def test_while_the_gateway_asks_to_poll_the_page_shows_no_lie_that_was_pushed(browser: Browser) -> None:
    async with a_demo(browser, "--fault", "stale-push") as demo:
        tab = await demo.open()
        await says(tab, "polling, as the gateway asks")
        await expect(rows(tab, "pushed")).to_have_count(ORDERS, timeout=_DEADLINE_MS)

        await tab.locator("#advance").click()
        await expect(tab.locator("#note")).to_contain_text("advanced", timeout=_DEADLINE_MS)
        order, *_, stage = (await tab.locator("#note").inner_text()).rstrip(".").split()

        for side in ("polled", "pushed"):
            cells = rows(tab, side).filter(has_text=order).locator("td")
            await expect(cells.nth(3)).to_have_text(stage, timeout=_DEADLINE_MS)


async def test_a_second_tab_goes_by_the_connection_of_the_first(browser: Browser) -> None:
    async with a_demo(browser) as demo:
        await demo.move("live")
        first = await demo.open()
        await says(first, "streaming")

        second = await demo.open()

        await says(second, "streaming, over the connection of another tab")
        await expect(rows(second, "pushed")).to_have_count(ORDERS, timeout=_DEADLINE_MS)
        await first.locator("#create").click()
        await expect(rows(second, "pushed")).to_have_count(ORDERS + 1, timeout=_DEADLINE_MS)


async def test_tabs_see_one_another_and_what_is_typed_and_said_there(browser: Browser) -> None:
    async with a_demo(browser) as demo:
        first, second = await demo.open(), await demo.open()
        await name_is(first, "Zoe")
        await name_is(second, "Yann")
        await has_users(first, "Yann", "Zoe (this tab)")
        await has_users(second, "Yann (this tab)", "Zoe")

        text = second.locator("#room [name=text]")
        # Who pauses is not typing any more.
        while await first.locator("[data-room=typing]").text_content() != "Yann is typing…":
            await text.press_sequentially("x")
        await says(second, "", "[data-room=typing]")
        await text.fill("Good morning")
        await text.press("Enter")

        await says(first, "Yann: Good morning", "[data-room=said]")
        await says(second, "Yann: Good morning", "[data-room=said]")
        await says(first, "", "[data-room=typing]")
        await second.close()
        await has_users(first, "Zoe (this tab)")
