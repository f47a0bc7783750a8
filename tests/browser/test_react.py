"""The hooks and components in browsers, with both versions of React that they are for."""

from pathlib import Path

import pytest

from tests.browser.test_firefox import accounts_for, shown
from tests.support.api import EVENTS, eventually
from tests.support.browser_world import FAST, SPEED
from tests.support.faulty_proxy import Fault
from tests.support.react import bundled


@pytest.fixture(scope="module", params=[18, 19])
def react(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled(request.param, tmp_path_factory.mktemp(f"react-{request.param}"))


async def opened(one, react, **options):
    """A tab whose page is the application."""
    one.proxy.added["react.js"] = react
    return await one.open(page="react.html", **options)


async def says(tab, health):
    """Waits until all three variants of the status say so."""
    await tab.until(f"document.querySelectorAll('.tidegate-status[data-status={health}]').length === 3")


async def is_at(tab, number):
    """Waits until the page shows that number of its order."""
    await tab.until(f"document.querySelector('#entity').textContent.startsWith('A is at {number},')")


async def open_streams(one):
    return [exchange for exchange in one.proxy.open if exchange.path == EVENTS]


async def test_an_application_in_strict_mode_has_one_stream_and_shows_what_changes(world, react):
    async with world() as one:
        tab = await opened(one, react)
        await says(tab, "healthy")
        await one.publisher.publish(3, of="A")
        await is_at(tab, 3)
        await one.publisher.publish(1, of="A", previous={"n": 3})
        await tab.until("app.stages.length === 4")
        assert (await tab.value("app.stages"))[-1] == [3, 4]
        await tab.accounts_for(4)
        assert len(one.proxy.asked(EVENTS)) == 1
        assert len(await one.connections()) == 1


async def test_an_application_shows_each_event_once_whatever_the_network_does(world, react):
    async with world(**FAST) as one:
        tab = await opened(one, react, speed=SPEED)
        await says(tab, "healthy")
        async with one.publisher.steadily(of="A"):
            await one.proxy.become(Fault.REFUSE, EVENTS)
            one.proxy.reset(EVENTS)
            await says(tab, "polling")
            await one.proxy.become(Fault.NONE)
            await says(tab, "healthy")

        await tab.accounts_for(one.publisher.last)
        await is_at(tab, one.publisher.last)


async def test_a_user_can_try_again_where_the_client_has_given_up(world, react):
    async with world(**FAST) as one:
        tab = await opened(one, react, speed=SPEED, maxReconnectAttempts=2)
        await says(tab, "healthy")
        await tab.until("document.querySelector('#online').textContent === 'user-1'")
        await one.proxy.become(Fault.REFUSE)
        one.proxy.reset(EVENTS)
        await tab.becomes("failed")
        await says(tab, "error")
        await one.proxy.become(Fault.NONE)
        await tab.page.get_by_role("button", name="Retry").first.click()
        await says(tab, "healthy")
        await one.publisher.publish(of="A")
        await is_at(tab, 1)


async def test_an_application_that_is_gone_leaves_no_stream_and_goes_on_where_it_comes_back(world, react):
    async with world() as one:
        tab = await opened(one, react)
        await says(tab, "healthy")
        await one.publisher.publish(of="A")
        await is_at(tab, 1)
        await tab.value("app.hide()")

        async def has_no_stream():
            return await one.connections() == []

        await eventually(has_no_stream, "no stream is open")
        await one.publisher.publish(of="A")
        await tab.value("app.show()")
        await is_at(tab, 2)
        await tab.accounts_for(2)


async def test_users_see_one_another_and_hear_what_they_say(world, react):
    async with world() as one:
        first = await opened(one, react)
        second = await opened(one, react, user="user-2")
        for tab in (first, second):
            await tab.until("document.querySelector('#online').textContent === 'user-1 user-2'")
        await first.value("app.send('typing', { in: 'O-1' })")
        for tab in (first, second):
            await tab.until("app.heard.length === 1")
            assert await tab.value("app.heard") == [["user-1", "O-1"]]
        await second.page.close()
        await first.until("document.querySelector('#online').textContent === 'user-1'")


async def test_components_are_found_by_their_roles_and_names(world, react):
    async with world() as one:
        tab = await opened(one, react)
        await says(tab, "healthy")
        page = tab.page
        assert await page.get_by_role("status").count() == 3 + 1 + 5
        assert await page.get_by_role("listitem").all_inner_texts() == [
            "●\nOrders: connected",
            "○\nInvoices: disconnected",
        ]
        await page.get_by_role("button", name="View Details").first.click()
        assert await tab.value("app.heard") == [["clicked", "job"]]
        await page.get_by_role("button", name="Dismiss").first.click()
        await tab.until("document.querySelectorAll('.tidegate-notification').length === 4")


async def test_an_application_in_firefox_shows_each_event_once_whatever_the_network_does(
    world, react, tmp_path
):
    async with world(**FAST) as one:
        one.proxy.added["react.js"] = react
        async with shown(one, "firefox_react.html", tmp_path) as page:
            accounts_for(await page.report(), last=15)
