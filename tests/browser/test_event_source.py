"""A page that has an EventSource and nothing else: the gateway needs no client of its own."""

import pytest

from tests.support.api import EVENTS
from tests.support.browser_world import durable
from tests.support.faulty_proxy import Fault


async def a_source(one):
    """A tab that is connected by an EventSource."""
    tab = await one.open(page="source.html", query="entity=order")
    await tab.until("got[0].type === 'connected'")
    return tab


async def test_an_event_source_gets_every_event_once(world):
    async with world() as one:
        tab = await a_source(one)
        async with one.publisher.steadily():
            await tab.until("got.length > 20")

        await tab.accounts_for(one.publisher.last)


@pytest.mark.parametrize("way", ["cut", "reset"])
async def test_an_event_source_that_is_cut_off_goes_on_where_it_was(world, way):
    async with world(stream={"retry_ms": 50}) as one:
        tab = await a_source(one)
        async with one.publisher.steadily():
            for times in range(1, 4):
                await tab.until(f"got.at(-1).n > {times * 5}")
                assert getattr(one.proxy, way)(EVENTS) == 1
                await tab.until(f"got.filter(({{ type }}) => type === 'connected').length > {times}")

        await tab.accounts_for(one.publisher.last)


@pytest.mark.parametrize("fault", [Fault.DELAY, Fault.SPLIT])
async def test_an_event_source_reads_a_stream_that_comes_late_or_byte_by_byte(world, fault):
    async with world() as one:
        await one.proxy.become(fault)
        tab = await a_source(one)
        await one.publisher.publish(20)

        await tab.accounts_for(one.publisher.last)


async def test_what_a_stalled_network_held_back_comes_in_the_end(world):
    async with world() as one:
        tab = await a_source(one)
        await one.proxy.become(Fault.STALL)
        await one.publisher.publish(20)
        await one.proxy.become(Fault.NONE)

        await tab.accounts_for(one.publisher.last)


async def test_an_event_source_outlives_a_gateway_that_starts_again_with_its_history(world, tmp_path):
    async with world(stream={"retry_ms": 50}, **durable(tmp_path)) as one:
        tab = await a_source(one)
        async with one.publisher.steadily():
            await tab.has(5)
            await one.restart()
            await tab.has(one.publisher.last + 1)

        await tab.accounts_for(one.publisher.last)


async def test_an_event_source_is_told_where_the_gateway_lost_its_history(world):
    async with world(stream={"retry_ms": 50}) as one:
        tab = await a_source(one)
        await one.publisher.publish(5)
        await tab.has(5)
        await one.restart()
        await tab.until("got.at(-1).type === 'reset'")
        await one.publisher.publish(5)

        await tab.accounts_for(10)
