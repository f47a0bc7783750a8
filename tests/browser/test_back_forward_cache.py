"""A page that goes into the back/forward cache and comes out of it: frozen meanwhile, and told nothing."""

import pytest_asyncio

from tests.support.browser import browsing
from tests.support.browser_world import BOTH_WAYS, a_world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keeping():
    """A browser that keeps pages when they are left."""
    async with browsing(with_back_forward_cache=True) as browser:
        yield browser


async def left_and_returned_to(one, tab, meanwhile):
    """Goes to another page, has `meanwhile` done, and comes back to the very page that was left."""
    await tab.value("globalThis.mark = 'the very page'")
    await tab.page.goto(f"{one.proxy.origin}/pages/blank.html")
    await meanwhile()
    await tab.value("history.back()")
    # That it really was kept is what this is about: a page that was loaded anew has no mark.
    await tab.until("persisted === true && mark === 'the very page'")


@BOTH_WAYS
async def test_a_page_out_of_the_cache_goes_on_and_has_missed_nothing(keeping, tmp_path, shared):
    async with a_world(keeping, tmp_path) as one:
        tab = await one.open(shared=shared)
        await tab.streams()
        await one.publisher.publish(5)
        await tab.has(5)

        await left_and_returned_to(one, tab, lambda: one.publisher.publish(5))
        await one.publisher.publish(5)

        await tab.accounts_for(15)
        assert "paused/sse" in await tab.went()


@BOTH_WAYS
async def test_a_page_in_the_cache_has_no_stream(keeping, tmp_path, shared):
    async with a_world(keeping, tmp_path) as one:
        tab = await one.open(shared=shared)
        await tab.streams()

        async def is_without_stream():
            while await one.connections():
                pass

        await left_and_returned_to(one, tab, is_without_stream)
        await tab.streams()


async def test_a_leader_out_of_the_cache_takes_part_again(keeping, tmp_path):
    async with a_world(keeping, tmp_path) as one:
        context = await one.profile()
        leader = await one.open(context)
        await leader.streams()
        follower = await one.open(context)
        await follower.becomes("connected", "shared")

        async def is_led():
            await follower.streams()
            await one.publisher.publish(5)
            await follower.has(5)

        await left_and_returned_to(one, leader, is_led)
        await leader.becomes("connected", "shared")
        await one.publisher.publish(5)

        await leader.accounts_for(10)
        await follower.accounts_for(10)
        assert len(await one.connections()) == 1
