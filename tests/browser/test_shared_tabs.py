"""Tabs of one browser share one connection, whatever becomes of the tab that has it."""

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest

from tests.support.chromium import browsing
from tests.support.faulty_proxy import PAGES_PATH
from tests.support.http import DEADLINE_SECONDS
from tests.support.publisher import doubled, lost

SPEED = 4
"""How much faster the client's clock runs: a leader has a heartbeat every half a second."""
LEADS = "['sse', 'poll'].includes(sync.transport) && sync.state === 'connected'"


@asynccontextmanager
async def some_tabs(world, count, **sections):
    """A world and as many tabs of one profile in it, all of them connected."""
    async with world(stream={"heartbeat_seconds": 8.0}, **sections) as one:
        context = await one.profile()
        tabs = [await one.open(context, shared=True, speed=SPEED) for _ in range(count)]
        for tab in tabs:
            await tab.becomes("connected")
        yield one, tabs


async def until(condition):
    """Waits until what `condition()` promises is true."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


async def leader_of(tabs):
    """The tab that has the connection, once there is one."""
    leading = []

    async def found():
        leading[:] = [tab for tab in tabs if await tab.value(LEADS)]
        return leading

    await until(found)
    return leading[0]


async def close(tab):
    await tab.page.close()


async def leave_for_another_page(tab):
    await tab.page.goto("about:blank")


async def crash(tab):
    """Ends the process of the page, as the system does where memory is short."""
    gone = asyncio.Event()
    tab.page.on("crash", lambda _: gone.set())
    crashing = asyncio.ensure_future((await tab.cdp()).send("Page.crash"))
    async with asyncio.timeout(DEADLINE_SECONDS):
        await gone.wait()
    crashing.cancel()
    await asyncio.gather(crashing, return_exceptions=True)


async def test_ten_tabs_have_one_connection_and_each_gets_every_event_once(world):
    async with some_tabs(world, 10) as (one, tabs):
        async with one.publisher.steadily():
            await tabs[-1].until("got.length > 20")

        await one.has_streams(1)
        for tab in tabs:
            await tab.accounts_for(one.publisher.last)


@pytest.mark.parametrize("end", [close, leave_for_another_page, crash])
async def test_another_tab_goes_on_where_a_leader_ended_under_load(world, end):
    async with some_tabs(world, 4) as (one, tabs):
        for _ in range(2):
            async with one.publisher.steadily(5):
                leader = await leader_of(tabs)
                last = one.publisher.last
                await end(leader)
                tabs.remove(leader)
                await (await leader_of(tabs)).until(f"got.at(-1).n > {last + 20}")

        await one.has_streams(1)
        for tab in tabs:
            await tab.accounts_for(one.publisher.last)


async def test_a_leader_that_is_frozen_hands_over_and_misses_nothing_when_it_thaws(world, tmp_path):
    # Playwright's pages are all in sight, and such a one can't be frozen.
    options = quote(json.dumps({"entities": ["order"], "telemetry": False}))
    async with world(stream={"heartbeat_seconds": 8.0}) as one, browsing(tmp_path) as browser:
        profile = await browser.profile()
        pages = []
        for _ in range(3):
            pages.append(
                await browser.open(f"{one.proxy.origin}{PAGES_PATH}sync.html?options={options}", profile)
            )
            await until(lambda: pages[-1].value("sync.state === 'connected'"))
        leader, *others = pages
        assert await leader.value("sync.transport") == "sse"
        async with one.publisher.steadily(5):
            last = one.publisher.last
            await leader.freeze()
            await until(lambda: others[0].value(f"sync.transport === 'sse' && got.at(-1).n > {last + 20}"))
            assert await leader.value("sync.state") == "paused"
            await leader.thaw()
            await until(lambda: leader.value("sync.state === 'connected' && sync.transport === 'shared'"))

        last = one.publisher.last
        await one.has_streams(1)
        for page in pages:
            await until(lambda page=page: page.value(f"got.at(-1).n === {last}"))
            got = await page.value("got")
            assert lost(got, first=1, last=last) == []
            assert doubled(got) == []


async def test_a_leader_that_hangs_loses_the_lock_and_misses_nothing_when_it_goes_on(world):
    async with some_tabs(world, 3) as (one, tabs):
        leader = await leader_of(tabs)
        others = [tab for tab in tabs if tab is not leader]
        async with one.publisher.steadily(5):
            # No page is told of that: it has the lock, and its stream, until another tab steals it.
            busy = asyncio.ensure_future(
                leader.value("{ const end = Date.now() + 6000; while (Date.now() < end); }")
            )
            await (await leader_of(others)).until(f"got.at(-1).n > {one.publisher.last + 20}")
            await busy
            await leader.until("sync.transport === 'shared' && sync.state === 'connected'")

        await one.has_streams(1)
        for tab in tabs:
            await tab.accounts_for(one.publisher.last)


async def test_a_tab_that_opens_later_begins_where_the_others_are(world):
    async with some_tabs(world, 2) as (one, tabs):
        await one.publisher.publish(5)
        await tabs[1].has(5)
        late = await one.open(tabs[0].page.context, shared=True, speed=SPEED, enablePersistence=False)
        await late.becomes("connected", "shared")
        async with one.publisher.steadily():
            await late.until("got.length > 5")

        await late.accounts_for(one.publisher.last, first=6)


async def test_who_signs_out_in_one_tab_is_out_in_all_and_nothing_is_kept(world):
    async with some_tabs(world, 3) as (one, tabs):
        await one.publisher.publish(3)
        for tab in tabs:
            await tab.has(3)
        await tabs[0].value("sync.signOut()")
        for tab in tabs:
            await tab.becomes("disconnected")
        assert await tabs[0].value("Object.keys(localStorage)") == ["tidegate:client-id"]
        await one.has_streams(0)


async def test_a_tab_in_another_profile_has_a_connection_of_its_own(world):
    async with some_tabs(world, 2) as (one, tabs):
        other = await one.open(shared=True, speed=SPEED)
        await other.streams()
        await one.has_streams(2)
        await one.publisher.publish(3)
        for tab in [*tabs, other]:
            await tab.accounts_for(3)
