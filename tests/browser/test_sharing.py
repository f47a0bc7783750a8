"""Tabs that share one connection, through what happens to it: each has every event, and none is stuck."""

import pytest

from tests.support.api import EVENTS
from tests.support.browser_world import FAST, SPEED, durable
from tests.support.faulty_proxy import Fault

TABS = 4


async def sharing(one, **options):
    """Tabs of one profile, of which the first leads the others."""
    context = await one.profile()
    tabs = [await one.open(context, speed=SPEED, **options)]
    await tabs[0].becomes("connected")
    for _ in range(TABS - 1):
        tabs.append(await one.open(context, speed=SPEED, **options))
        await tabs[-1].becomes("connected", "shared")
    return tabs


async def all_have(tabs, number):
    for tab in tabs:
        await tab.has(number)


async def each_accounts_for(tabs, last):
    for tab in tabs:
        await tab.accounts_for(last)


async def test_tabs_that_share_follow_their_flag_both_ways(world):
    async with world(**FAST) as one:
        await one.flag(stage="live", percentage=100, pollIntervalMs=1_000)
        tabs = await sharing(one, components=["orders"])
        async with one.publisher.steadily():
            for percentage in (0, 100, 0, 100):
                await one.flag(percentage=percentage)
                await (tabs[0].streams() if percentage else tabs[0].polls())
                await all_have(tabs, one.publisher.last + 1)

        await each_accounts_for(tabs, one.publisher.last)
        assert len(await one.connections()) == 1


async def test_tabs_that_share_are_cut_off_together_and_go_on_together(world):
    async with world(**FAST) as one:
        tabs = await sharing(one)
        async with one.publisher.steadily():
            for _ in range(3):
                await all_have(tabs, one.publisher.last + 1)
                one.proxy.reset(EVENTS)
                await all_have(tabs, one.publisher.last + 1)

        await each_accounts_for(tabs, one.publisher.last)


async def test_the_leader_polls_for_all_where_streams_get_lost(world):
    async with world(**FAST) as one:
        tabs = await sharing(one)
        async with one.publisher.steadily():
            await one.proxy.become(Fault.REFUSE, EVENTS)
            one.proxy.reset(EVENTS)
            await tabs[0].polls()
            await all_have(tabs, one.publisher.last + 1)
            for follower in tabs[1:]:
                await follower.becomes("connected", "shared")
            await one.proxy.become(Fault.NONE)
            await tabs[0].streams()

        await each_accounts_for(tabs, one.publisher.last)


@pytest.mark.parametrize("keeps", [True, False], ids=["with-its-history", "without"])
async def test_tabs_that_share_outlive_a_restart_of_the_gateway(world, tmp_path, keeps):
    async with world(**FAST, **(durable(tmp_path) if keeps else {})) as one:
        tabs = await sharing(one)
        await one.publisher.publish(5)
        await all_have(tabs, 5)
        await one.restart()
        for tab in tabs:
            await tab.becomes("connected")
        if not keeps:
            for tab in tabs:
                await tab.until("got.some(({ type }) => type === 'reset')")
        async with one.publisher.steadily():
            await all_have(tabs, one.publisher.last + 1)

        await each_accounts_for(tabs, one.publisher.last)


async def test_tabs_that_come_and_go_meanwhile_account_for_all_since_they_came(world):
    async with world(**FAST) as one:
        context = await one.profile()
        tabs = [await one.open(context, speed=SPEED)]
        await tabs[0].becomes("connected")
        begun = {}
        async with one.publisher.steadily():
            for number in range(6):
                tab = await one.open(context, speed=SPEED)
                await tab.becomes("connected")
                await tab.has(one.publisher.last + 1)
                begun[tab] = min(given["n"] for given in await tab.got() if given["n"] is not None)
                tabs.append(tab)
                if number % 2:
                    await tabs.pop(0).page.close()

        for tab in tabs:
            await tab.accounts_for(one.publisher.last, first=begun[tab])
