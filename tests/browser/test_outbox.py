"""What a page writes while networks, pages and tabs come and go: done once, in order, and shown at once."""

import asyncio
import json
from urllib.parse import quote

import httpx

from tests.support.api import EVENTS
from tests.support.browser_world import FAST, SPEED, durable
from tests.support.chromium import browsing
from tests.support.faulty_proxy import PAGES_PATH, Fault
from tests.support.http import DEADLINE_SECONDS

WRITE = """
([first, last, entity]) => {
  globalThis.written ??= [];
  for (let n = first; n <= last; n += 1) {
    const event = { eventType: "note", entityType: "order", entityId: entity, data: { n } };
    sync.enqueue({ path: "/api/v1/sync/events", body: event, entity: `order:${entity}`, optimistic: { n } })
      .then(({ status }) => written.push([n, status]), (error) => written.push([n, error.message]));
  }
}
"""
KEPT = "Object.keys(localStorage).filter((name) => name.startsWith('tidegate:outbox:')).length"
SHOWN = "sync.entities('order').get('O-1')?.n"
DONE_HERE = """
performance.getEntriesByType("resource")
  .filter(({ name, responseStatus }) => name.endsWith("/sync/events") && responseStatus === 201).length
"""
LOADED = "performance.getEntriesByType('resource').some(({ name }) => name.includes('/writes.js'))"


async def writes(tab, first, last, entity="O-1"):
    await tab.page.evaluate(WRITE, [first, last, entity])


async def ready(tab):
    """Waits until it is connected, by its own stream or another tab's, and what it writes with is there."""
    await tab.becomes("connected")
    await tab.until(LOADED)


async def until(page, expression):
    """Waits until that is true in a page that playwright does not drive."""
    condition = f"(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()"
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await page.value(condition):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


def posts(tab):
    """The keys of the writes that the tab sends, as it sends them."""
    keys = []

    def note(request):
        if request.method == "POST" and EVENTS in request.url:
            keys.append(request.headers["idempotency-key"])

    tab.page.on("request", note)
    return keys


async def published(one):
    """The numbers of all that was published, in the log's order."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{one.gateway.port}") as client:
        answer = await client.get("/api/v1/sync/history", params={"limit": 1000})
    return [event["data"]["n"] for event in answer.json()["events"]]


async def test_what_is_written_offline_shows_at_once_and_goes_out_in_order_once_the_network_is_back(world):
    async with world() as one:
        tab = await one.open()
        await ready(tab)
        await tab.page.context.set_offline(True)
        await writes(tab, 1, 20)
        await tab.until(f"{SHOWN} === 20 && {KEPT} === 20")
        await tab.page.context.set_offline(False)

        await tab.until("written.length === 20")
        assert await tab.value("written") == [[number, 201] for number in range(1, 21)]
        await tab.accounts_for(20)
        assert await published(one) == list(range(1, 21))
        assert await tab.value(KEPT) == 0


async def test_of_two_tabs_one_sends_for_both(world):
    async with world() as one:
        context = await one.profile()
        tabs = [await one.open(context), await one.open(context)]
        sent = [posts(tab) for tab in tabs]
        for tab in tabs:
            await ready(tab)
        await context.set_offline(True)
        await writes(tabs[0], 1, 10)
        await writes(tabs[1], 101, 110, "O-2")
        for tab in tabs:  # What one keeps, a tab of another process sees a little later.
            await tab.until(f"{KEPT} === 20")
        for keys in sent:
            keys.clear()
        await context.set_offline(False)

        for tab, first in zip(tabs, (1, 101), strict=True):
            await tab.until("written.length === 10")
            assert await tab.value("written") == [[number, 201] for number in range(first, first + 10)]
        numbers = await published(one)
        assert sorted(numbers) == [*range(1, 11), *range(101, 111)]
        assert numbers == [*range(1, 11), *range(101, 111)]
        assert [] in sent


async def test_a_reload_in_the_midst_of_writing_goes_on_with_it(world):
    async with world() as one:
        tab = await one.open()
        await ready(tab)
        await one.proxy.become(Fault.DELAY)
        await writes(tab, 1, 30)
        await tab.has(3)
        await tab.reload()
        await tab.until("loads === 2")
        await one.proxy.become(Fault.NONE)

        await tab.accounts_for(30, repeats=True)
        assert await published(one) == list(range(1, 31))
        await tab.until(f"{KEPT} === 0")


async def test_a_tab_that_is_closed_leaves_its_writes_to_another(world):
    async with world() as one:
        context = await one.profile()
        first, second = await one.open(context), await one.open(context)
        await ready(first)
        await ready(second)
        await context.set_offline(True)
        await writes(first, 1, 10)
        await second.until(f"{KEPT} === 10")
        await first.page.close()
        await context.set_offline(False)

        await second.accounts_for(10)
        assert await published(one) == list(range(1, 11))


async def test_a_tab_that_is_frozen_leaves_its_writes_to_another_and_hears_of_them(world, tmp_path):
    # Playwright's pages are all in sight, and such a one can't be frozen.
    options = quote(json.dumps({"entities": ["order"], "telemetry": False, "speed": SPEED}))
    async with world(**FAST) as one, browsing(tmp_path) as browser:
        profile = await browser.profile()
        address = f"{one.proxy.origin}{PAGES_PATH}sync.html?options={options}"
        first, second = await browser.open(address, profile), await browser.open(address, profile)
        for page in (first, second):
            await until(page, f"sync.state === 'connected' && {LOADED}")
        await one.proxy.become(Fault.REFUSE, EVENTS)
        await first.value(f"({WRITE})([1, 5, 'O-1'])")
        await until(second, f"{KEPT} === 5")
        await first.freeze()
        await one.proxy.become(Fault.NONE)
        await until(second, f"{KEPT} === 0")
        assert await second.value(DONE_HERE) == 5
        await first.thaw()
        await until(first, "written.length === 5")

        assert [status for _, status in await first.value("written")] == [201] * 5
        assert await published(one) == [1, 2, 3, 4, 5]


async def test_a_change_never_flickers_back_on_its_way(world, tmp_path):
    async with world(**durable(tmp_path)) as one:
        tab = await one.open()
        await ready(tab)
        await tab.value(f"""
            globalThis.seen = [];
            sync.onChange(() => {{
              const n = {SHOWN};
              if (n !== undefined && n !== seen.at(-1)) seen.push(n);
            }});
            undefined;
        """)
        for number in range(1, 6):
            await writes(tab, number, number)
            await tab.has(number)
        await tab.until("written.length === 5")

        assert await tab.value("seen") == [1, 2, 3, 4, 5]


async def test_a_write_that_is_refused_is_rolled_back_and_told_of(world):
    async with world() as one:
        tab = await one.open()
        await ready(tab)
        await writes(tab, 1, 1)
        await tab.has(1)
        await tab.value("""
            globalThis.refused = [];
            sync.on("outbox", ({ status, problem }) => refused.push([status, problem.errors[0].pointer]));
            const body = { eventType: "connected", entityType: "order", entityId: "O-1", data: {} };
            const request = { path: "/api/v1/sync/events", body, entity: "order:O-1", optimistic: { n: 7 } };
            sync.enqueue(request).catch(() => {});
            undefined;
        """)
        await tab.until("refused.length === 1")

        assert await tab.value("refused") == [[422, "/eventType"]]
        assert await tab.value(SHOWN) == 1


async def test_signing_out_in_one_tab_drops_what_another_wrote(world):
    async with world() as one:
        context = await one.profile()
        first, second = await one.open(context), await one.open(context)
        await ready(first)
        await ready(second)
        await context.set_offline(True)
        await writes(first, 1, 5)
        await second.until(f"{KEPT} === 5")
        await second.value("sync.signOut()")
        await first.until("written.length === 5")
        await context.set_offline(False)

        assert await first.value(KEPT) == 0
        assert ["Signed out" in told for _, told in await first.value("written")] == [True] * 5
        third = await one.open(context)
        await third.becomes("connected")
        await writes(third, 9, 9)
        await third.has(9)
        assert await published(one) == [9]
