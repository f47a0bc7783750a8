"""The demo's page in a browser: both transports, who looks at it, and a guard that goes on by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

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
        return await self._open_in(context, self._address)

    async def open_browser_of_the_first_tenth(self) -> Page:
        """A browser of its own whose client is among the first 10 %."""
        return await self._open_in(await self._browser.new_context(), f"{self._address}demo/first-tenth")

    async def _open_in(self, context: BrowserContext, address: str) -> Page:
        tab = await context.new_page()
        tab.set_default_timeout(_DEADLINE_MS)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tabs.append(tab)
        await tab.goto(address)
        return tab

    async def move(self, stage: str, percentage: float = 100) -> None:
        """Moves the migration of the orders."""
        await self.change(stage=stage, percentage=percentage)

    async def change(self, **members: Any) -> None:
        """Changes members of the flag of the orders."""
        change = {**members, "reason": "a test"}
        async with aiohttp.ClientSession() as session:
            answer = await session.patch(self._flag, json=change, headers={"If-Match": "*"})
            assert answer.status == 200, await answer.text()

    async def revisions(self) -> list[dict[str, Any]]:
        """The flag's history, the oldest first."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._flag}/revisions") as answer:
            given: list[dict[str, Any]] = (await answer.json())["revisions"]
            return given

    @property
    def _flag(self) -> str:
        return f"{self._address}api/v1/admin/flags/orders"


@asynccontextmanager
async def a_demo(browser: Browser, *options: str) -> AsyncIterator[Demo]:
    # Each step has its own deadline.
    async with running("--port", "0", *options, seconds=10 * DEADLINE_SECONDS) as process:
        demo = Demo(browser, await address_of(process))
        try:
            yield demo
        finally:
            for context in {tab.context for tab in demo.tabs}:
                await context.close()
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


async def test_with_four_browsers_of_the_first_tenth_that_stay_open_the_guard_goes_on_to_all(
    browser: Browser,
) -> None:
    async with a_demo(browser, "--every", "0.2") as demo:
        tabs = [await demo.open_browser_of_the_first_tenth() for _ in range(4)]
        # The same margins and steps in less time.
        await demo.change(guard={"windowSeconds": 3})
        await demo.move("live", 10)
        for tab in tabs:
            await says(tab, "streaming")
        await expect(tabs[0].locator("#cohorts tbody tr")).to_have_count(4, timeout=_DEADLINE_MS)
        stage = tabs[0].locator("[data-migration=stage]")
        await expect(stage).to_have_text("live, 100 %", timeout=3 * _DEADLINE_MS)

        by_guard = [one for one in await demo.revisions() if one["who"] == "guard"]
        assert [one["after"] for one in by_guard] == [{"percentage": step} for step in (25, 50, 100)]
        for one in by_guard:
            for figure in (
                "an error for ",
                "of what was pushed late",
                "no first event for ",
                "a fallback for ",
            ):
                assert figure in one["why"], one["why"]
        assert [await tab.locator("#pushed .status").inner_text() for tab in tabs] == ["streaming"] * 4


async def test_three_browsers_are_too_few_for_the_margins_and_the_page_says_how_many_more(
    browser: Browser,
) -> None:
    async with a_demo(browser, "--every", "0.2") as demo:
        tabs = [await demo.open_browser_of_the_first_tenth() for _ in range(3)]
        await demo.change(guard={"windowSeconds": 3})
        await demo.move("live", 10)
        for tab in tabs:
            await says(tab, "streaming")

        guard = tabs[0].locator("[data-migration=guard]")
        await expect(guard).to_contain_text("about 1 more caller streaming", timeout=_DEADLINE_MS)
