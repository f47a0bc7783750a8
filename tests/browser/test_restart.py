"""A gateway that starts again, with what it knew and without."""

from tests.support.browser_world import FAST, SPEED, durable


async def test_a_gateway_that_starts_again_with_its_history_loses_nothing(world, tmp_path):
    async with world(**durable(tmp_path), **FAST) as one:
        tabs = [await one.open(speed=SPEED) for _ in range(3)]
        for tab in tabs:
            await tab.streams()
        async with one.publisher.steadily():
            for _ in range(2):
                await tabs[0].has(one.publisher.last + 5)
                await one.restart()
                for tab in tabs:
                    await tab.has(one.publisher.last + 1)

        for tab in tabs:
            await tab.accounts_for(one.publisher.last)
            await tab.streams()


async def test_a_gateway_that_lost_its_history_says_so_and_the_client_goes_on(world):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED)
        await tab.streams()
        await one.publisher.publish(5)
        await tab.has(5)
        await one.restart()
        await tab.until("got.some(({ type, reason }) => type === 'reset' && reason === 'epoch')")
        await one.publisher.publish(5)

        await tab.accounts_for(10)
        await tab.streams()


async def test_a_gateway_that_lost_its_history_while_a_page_polled_says_so_too(world):
    async with world() as one:
        await one.flag(stage="live", percentage=0, pollIntervalMs=100)
        tab = await one.open(components=["orders"])
        await tab.polls()
        await one.publisher.publish(5)
        await tab.has(5)
        await one.restart()
        await tab.until("got.some(({ type }) => type === 'reset')")
        await one.publisher.publish(5)

        await tab.accounts_for(10)
