"""A page that fetches its data anew: once for a burst, as the gateway hints, or by events where it polls."""

from tests.support.api import EVENTS
from tests.support.browser_world import FAST, SPEED
from tests.support.faulty_proxy import Fault

REFRESH = """
globalThis.fetched = [];
globalThis.stop = sync.autoRefresh("order", async () => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  fetched.push(got.filter(({ n }) => n !== null).length);
});
undefined;
"""
HINTED = "got.filter(({ type }) => type === 'refresh').length"
HINTED_STREAM = "got.filter(({ type }) => type === 'connected').length === 2"
"""The page asked after it had begun, so the stream was opened anew with hints."""
SETTLED = "fetched.at(-1) === got.filter(({ n }) => n !== null).length"


async def test_a_burst_is_fetched_for_once_when_the_gateway_says_so(world):
    async with world() as one:
        tab = await one.open()
        await tab.streams()
        await tab.value(REFRESH)
        await tab.until(HINTED_STREAM)
        await one.publisher.publish(200)
        await tab.has(200)
        await tab.until(f"{HINTED} >= 1 && {SETTLED}")

        assert b"hints=with" in one.proxy.asked(EVENTS)[-1].target
        # More than one where the machine is so slow that the burst falls into several windows.
        assert len(await tab.value("fetched")) < 20


async def test_a_page_that_asks_later_gets_hints_without_a_gap(world):
    async with world() as one:
        tab = await one.open()
        await tab.streams()
        await one.publisher.publish(10)
        await tab.value(REFRESH)
        await one.publisher.publish(10)
        await tab.until(f"{HINTED} >= 1 && {SETTLED}")

        await tab.accounts_for(20)


async def test_a_page_that_polls_goes_by_the_events(world):
    async with world(**FAST) as one:
        await one.proxy.become(Fault.REFUSE, EVENTS)
        tab = await one.open(speed=SPEED)
        await tab.polls()
        await tab.value(REFRESH)
        await one.publisher.publish(20)
        await tab.until(SETTLED + " && fetched.length > 0")

        assert await tab.value(HINTED) == 0
        await tab.accounts_for(20)


async def test_a_page_that_stops_fetches_no_more(world):
    async with world() as one:
        tab = await one.open()
        await tab.streams()
        await tab.value(REFRESH)
        await one.publisher.publish()
        await tab.until(f"{SETTLED} && fetched.length > 0")
        await tab.value("stop()")
        hints = await tab.value(HINTED)
        fetched = await tab.value("fetched.length")
        await one.publisher.publish()
        await tab.until(f"{HINTED} > {hints}")

        assert await tab.value("fetched.length") == fetched
