"""Pages in Debian's Chromium, driven by playwright, and what each of them got from the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import orjson
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from tests.support.chromium import OPTIONS, program
from tests.support.faulty_proxy import PAGES_PATH
from tests.support.http import DEADLINE_SECONDS
from tests.support.publisher import doubled, lost

_DEADLINE_MS = DEADLINE_SECONDS * 1000
_EVERY_MS = 20
"""How often a condition is looked at: not by frames, which a page in the background has none of."""


@asynccontextmanager
async def browsing(*, with_back_forward_cache: bool = False) -> AsyncIterator[Browser]:
    """A browser without pages. Playwright switches the back/forward cache off unless told otherwise."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program(),
            args=[option for option in OPTIONS if option != "--headless"],
            ignore_default_args=["--disable-back-forward-cache"] if with_back_forward_cache else None,
            timeout=_DEADLINE_MS,
        )
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """A page of pages/sync.html, or of another one; `errors` are those that nobody handled in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.warnings: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)

    @classmethod
    async def open(
        cls,
        context: BrowserContext,
        origin: str,
        page: str = "sync.html",
        *,
        give_token: Callable[[], Any] | None = None,
        **options: Any,
    ) -> "Tab":
        """A new tab whose page follows the gateway with `options` of `createSync`, again after each reload.

        Beside those: `speed`, how much faster than the page's the client's clock runs; `from`, the origin of
        the client, where that is not the page's; `keep`, how many of what came `got` has at most.
        `give_token` is called for each token that the client wants.
        """
        tab = cls(await context.new_page())
        tab.page.set_default_timeout(_DEADLINE_MS)
        if give_token is not None:
            await tab.page.expose_function("giveToken", give_token)
            options["withToken"] = True
        text = quote(orjson.dumps(options).decode())
        await tab.page.goto(f"{origin}{PAGES_PATH}{page}?options={text}")
        return tab

    async def value(self, expression: str) -> Any:
        """The value of JavaScript in the page, of a promise what that gives."""
        return await self.page.evaluate(expression)

    async def until(self, expression: str) -> None:
        """Waits until JavaScript in the page is true; it may name what is not there yet."""
        condition = f"() => {{ try {{ return {expression}; }} catch {{ return false; }} }}"
        try:
            await self.page.wait_for_function(condition, polling=_EVERY_MS)
        except Exception as error:
            error.add_note(f"{expression}: {await self.describe()}")
            raise

    async def becomes(self, state: str, transport: str | None = None) -> None:
        """Waits until its sync is in that state, and has that transport."""
        wanted = f"sync.state === {state!r}"
        await self.until(wanted if transport is None else f"{wanted} && sync.transport === {transport!r}")

    async def streams(self) -> None:
        await self.becomes("connected", "sse")

    async def polls(self) -> None:
        await self.becomes("connected", "poll")

    async def got(self) -> list[dict[str, Any]]:
        """All that came, in that order: `type`, `id`, and of an event the number `n`."""
        given: list[dict[str, Any]] = await self.value("got")
        return given

    async def went(self) -> list[str]:
        """The states it was in and the transports that it had, as "connected/sse"."""
        states: list[str] = await self.value("went")
        return states

    async def has(self, number: int) -> None:
        """Waits until the event of that number has come."""
        await self.until(f"got.some(({{ n }}) => n === {number})")

    async def accounts_for(self, last: int, *, first: int = 1, repeats: bool = False) -> None:
        """Waits for the event `last`; then none from `first` on is missing, and none came twice or late.

        With `repeats` some may have come twice, as after a reload.
        """
        await self.has(last)
        got = await self.got()
        missing, again = lost(got, first=first, last=last), doubled(got)
        assert not missing, f"lost {missing}: {await self.describe()}"
        assert repeats or not again, f"doubled {again}: {await self.describe()}"

    async def reload(self) -> None:
        await self.page.reload(wait_until="commit")

    async def heap_bytes(self) -> int:
        """What its scripts keep, once all that nobody needs is gone."""
        session = await self.cdp()
        # What is freed by the first may hold what the second frees.
        for _ in range(2):
            await session.send("HeapProfiler.collectGarbage")
        used = await session.send("Runtime.getHeapUsage")
        await session.detach()
        return int(used["usedSize"] + used.get("embedderHeapUsedSize", 0) + used.get("backingStorageSize", 0))

    async def cdp(self) -> CDPSession:
        """The Chrome DevTools Protocol of the page."""
        return await self.page.context.new_cdp_session(self.page)

    async def describe(self) -> str:
        """What a failed test should tell."""
        told = "JSON.stringify([sync.state, sync.transport, String(sync.error), went, got.slice(-5)])"
        try:
            async with asyncio.timeout(1.0):
                shown = await self.value(told)
        except Exception as error:  # noqa: BLE001 - it is on its way to the report of another one
            shown = str(error)
        return f"{shown} errors={self.errors} warnings={self.warnings}"

    def _hear(self, message: Any) -> None:
        # What could not be loaded is told there too, and is what many tests are about.
        if message.type == "warning":
            self.warnings.append(message.text)
