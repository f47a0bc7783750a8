"""A page that is loaded anew: what it was following goes on, whatever was under way."""

from tests.support.api import EVENTS
from tests.support.browser_world import BOTH_WAYS
from tests.support.faulty_proxy import Fault
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import upstream

ITEMS = 3_000


async def reloaded(tab):
    """Loads its page anew, and waits until that runs."""
    loads = await tab.value("loads")
    await tab.reload()
    await tab.until(f"loads === {loads + 1}")


@BOTH_WAYS
async def test_a_reload_misses_nothing(world, shared):
    async with world() as one:
        tab = await one.open(shared=shared)
        await tab.streams()
        async with one.publisher.steadily():
            for _ in range(3):
                await tab.has(one.publisher.last + 1)
                await reloaded(tab)

        await tab.accounts_for(one.publisher.last, repeats=True)


async def test_a_reload_misses_nothing_that_was_published_while_no_page_was_there(world):
    async with world() as one:
        tab = await one.open()
        await tab.streams()
        await one.publisher.publish(5)
        await tab.has(5)
        await tab.page.goto(f"{one.proxy.origin}/pages/blank.html")
        await one.publisher.publish(5)
        await tab.page.go_back(wait_until="commit")

        await tab.accounts_for(10, repeats=True)


@BOTH_WAYS
async def test_a_reload_in_the_midst_of_a_replay_goes_on_with_it(world, shared):
    async with world() as one:
        tab = await one.open(shared=shared)
        await tab.streams()
        await one.publisher.publish()
        await tab.has(1)
        await one.proxy.become(Fault.REFUSE)
        one.proxy.reset()
        for _ in range(5):
            await one.publisher.publish(1_000)
        await one.proxy.become(Fault.STALL, EVENTS, after=200_000)
        await tab.until("got.length > 500")
        # Hints are there too, and have no number.
        assert await tab.value("Math.max(...got.map(({ n }) => n ?? 0))") < one.publisher.last
        await reloaded(tab)
        await one.proxy.become(Fault.NONE)

        await tab.accounts_for(one.publisher.last, repeats=True)


@BOTH_WAYS
async def test_a_reload_in_the_midst_of_the_state_gets_the_whole_of_it(world, shared):
    async with upstream() as backend:
        backend.says(listed(*(order(f"O-{number}", note="x" * 100) for number in range(ITEMS))))
        async with world(legacy=[route_settings(backend.url, 3600.0)]) as one:
            await one.client.get(PATH)
            await one.proxy.become(Fault.STALL, EVENTS, after=150_000)
            tab = await one.open(state=True, shared=shared)
            await tab.until("got.some(({ type }) => type === 'state')")
            # Nobody sees half a state.
            assert await tab.value("sync.entities('order').size") == 0
            await reloaded(tab)
            await one.proxy.become(Fault.NONE)
            await tab.until(f"sync.entities('order').size === {ITEMS}")
            await one.publisher.publish(5, of="O-1")

            await tab.accounts_for(5)
            assert await tab.value("sync.entities('order').get('O-1').n") == 5


async def test_the_state_that_was_kept_is_there_after_a_reload_without_being_sent_again(world):
    async with upstream() as backend:
        backend.says(listed(*(order(f"O-{number}") for number in range(10))))
        async with world(legacy=[route_settings(backend.url, 3600.0)]) as one:
            await one.client.get(PATH)
            tab = await one.open(state=True)
            await tab.until("sync.entities('order').size === 10")
            await one.publisher.publish(5, of="O-1")
            await tab.has(5)
            states = await tab.value("got.filter(({ type }) => type === 'state').length")
            await reloaded(tab)
            await tab.streams()

            assert await tab.value("sync.entities('order').size") == 10
            assert await tab.value("sync.entities('order').get('O-1').n") == 5
            assert await tab.value("got.filter(({ type }) => type === 'state').length") == states


async def test_storage_that_holds_nonsense_does_no_harm(world):
    async with world() as one:
        tab = await one.open()
        await tab.streams()
        await one.publisher.publish(5)
        await tab.has(5)
        await tab.value(
            "addEventListener('pagehide', () => {"
            " for (const name of Object.keys(localStorage)) localStorage.setItem(name, '{\"v\":'); })"
        )
        await reloaded(tab)
        await tab.streams()
        await one.publisher.publish(5)

        await tab.accounts_for(10, repeats=True)
