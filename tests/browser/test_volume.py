"""Many events in one page: it stays responsive meanwhile, and keeps no more at the end than it has to."""

from tests.support.api import EVENTS
from tests.support.browser_world import FAST, SPEED
from tests.support.faulty_proxy import Fault

COUNT = 10_000
GROWTH_BYTES = 500_000
"""Of 20,000 events: were 25 bytes of each kept, it would be more."""
BATCH = 1_000
MOST_IN_A_TURN = 1_000
"""Of these events: some 10 ms of a slow machine. Without turns of the page's a read brings 8,000 and more."""


async def test_a_backlog_of_ten_thousand_events_leaves_the_page_its_turns(world):
    async with world(**FAST) as one:
        tab = await one.open()
        await tab.streams()
        await tab.value(
            """(() => {
                globalThis.turns = [];
                let inTurn = 0;
                sync.on("stage_change", () => { inTurn += 1; });
                const { port1, port2 } = new MessageChannel();
                port1.onmessage = () => {
                    if (inTurn > 0) turns.push(inTurn);
                    inTurn = 0;
                    port2.postMessage(null);
                };
                port2.postMessage(null);
            })()"""
        )
        await one.proxy.become(Fault.STALL)
        for _ in range(COUNT // BATCH):
            await one.publisher.publish(BATCH)
        await one.proxy.become(Fault.NONE)

        await tab.accounts_for(COUNT)
        assert await tab.value("Math.max(...turns)") <= MOST_IN_A_TURN


async def test_an_hour_of_events_and_reconnections_leaves_no_more_in_memory_than_its_beginning(world):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED, keep=100)
        await tab.streams()

        async def some_minutes():
            await one.publisher.publish(BATCH)
            await tab.has(one.publisher.last)
            one.proxy.cut(EVENTS)

        for _ in range(5):
            await some_minutes()
        before = await tab.heap_bytes()
        for _ in range(20):
            await some_minutes()

        assert await tab.heap_bytes() - before < GROWTH_BYTES
