"""Flags that are flipped both ways under load: each page follows, none is stuck, none misses an event."""

import asyncio

import pytest

CLIENTS = 20
POLLING = {"stage": "live", "percentage": 0, "pollIntervalMs": 200}


async def test_a_page_follows_its_flag_both_ways(world):
    async with world() as one:
        await one.flag(**POLLING)
        tab = await one.open(components=["orders"])
        await tab.polls()
        async with one.publisher.steadily():
            for percentage in (100, 0, 100, 0, 100):
                await one.flag(percentage=percentage)
                await (tab.streams() if percentage else tab.polls())
                await tab.has(one.publisher.last + 1)

        await tab.accounts_for(one.publisher.last)


async def test_twenty_pages_follow_their_flag_both_ways_and_none_is_stuck(world):
    async with world() as one:
        await one.flag(**POLLING | {"percentage": 100})
        tabs = await asyncio.gather(*(one.open(components=["orders"]) for _ in range(CLIENTS)))
        for tab in tabs:
            await tab.streams()
        async with one.publisher.steadily():
            for percentage in (0, 50, 100, 25, 0, 100):
                await one.flag(percentage=percentage)
                await settled(one, tabs, percentage)

        for tab in tabs:
            await tab.accounts_for(one.publisher.last)


async def settled(one, tabs, percentage):
    """Waits until each page does what the gateway has it do, and has the newest event by it."""
    for tab in tabs:
        client = await tab.value("sync.clientId")
        answer = await one.client.get("/api/v1/sync/fetch-mode", {"component": "orders", "clientId": client})
        is_streaming = answer.json["mode"] == "streaming"
        assert percentage in (25, 50) or is_streaming == (percentage == 100)
        await (tab.streams() if is_streaming else tab.polls())
    last = one.publisher.last
    for tab in tabs:
        await tab.has(last)


async def test_a_flip_back_before_the_first_one_was_followed_leaves_nobody_behind(world):
    async with world() as one:
        await one.flag(**POLLING | {"percentage": 100})
        tabs = [await one.open(components=["orders"]) for _ in range(3)]
        for tab in tabs:
            await tab.streams()
        async with one.publisher.steadily():
            for percentage in (0, 100) * 5:
                await one.flag(percentage=percentage)

        for tab in tabs:
            await tab.streams()
            await tab.accounts_for(one.publisher.last)


@pytest.mark.parametrize("stage", ["rampdown", "complete"])
async def test_a_poller_streams_once_polling_ends(world, stage):
    async with world() as one:
        await one.flag(**POLLING)
        tab = await one.open(components=["orders"])
        await tab.polls()
        async with one.publisher.steadily():
            await one.flag(percentage=100)
            await tab.streams()
            for next_stage in ("rampdown", "complete")[: 1 if stage == "rampdown" else 2]:
                await one.flag(stage=next_stage)

        await tab.streams()
        await tab.accounts_for(one.publisher.last)


async def test_a_kill_switch_has_everybody_poll_and_lifting_it_has_them_stream(world):
    async with world() as one:
        await one.flag(**POLLING | {"percentage": 100})
        tabs = [await one.open(components=["orders"]) for _ in range(3)]
        for tab in tabs:
            await tab.streams()
        async with one.publisher.steadily(), one.operator() as admin:
            for path in ("/api/v1/admin/flags/orders/kill", "/api/v1/admin/kill"):
                assert (await admin.post(path)).status_code == 200
                for tab in tabs:
                    await tab.polls()
                assert (await admin.post(path.replace("kill", "unkill"))).status_code == 200
                for tab in tabs:
                    await tab.streams()

        for tab in tabs:
            await tab.accounts_for(one.publisher.last)


async def test_one_component_polls_beside_another_that_streams(world):
    components = {"orders": {"entities": ["order"]}, "billing": {"entities": ["invoice"]}}
    async with world(components=components) as one:
        await one.flag(**POLLING | {"percentage": 100})
        tab = await one.open(components=["orders", "billing"], entities=["order", "invoice"])
        await tab.streams()
        async with one.publisher.steadily(), one.publisher.steadily(entityType="invoice"):
            for percentage in (0, 100, 0, 100):
                await one.flag(percentage=percentage)
                await tab.until(
                    f"sync.getSnapshot().modes.orders === '{'streaming' if percentage else 'polling'}'"
                )
                await tab.has(one.publisher.last + 3)

        await tab.has(one.publisher.last)
        numbers = [given["n"] for given in await tab.got() if given["n"] is not None]
        # Of two components each one's events are in order, and not all of them together.
        assert sorted(numbers) == list(range(1, one.publisher.last + 1))
