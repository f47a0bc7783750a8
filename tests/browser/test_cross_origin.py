"""A page of another origin than the gateway's, with credentials of either kind."""

from contextlib import asynccontextmanager

import pytest

from tests.support.api import EVENTS
from tests.support.browser_world import PAGES
from tests.support.faulty_proxy import Fault, faulty_proxy
from tests.support.tokens import auth_settings, mint

COOKIE = "session"


@asynccontextmanager
async def elsewhere(world, **auth):
    """A world, and the origin of a site of its own whose pages the gateway lets in."""
    # Nothing of the gateway's is behind it: it gives the pages.
    async with faulty_proxy(0, PAGES) as site, world(cors={"origins": [site.origin]}, **auth) as one:
        yield one, site.origin


async def opened(one, origin, context=None, **options):
    """A tab at the other origin that follows the gateway."""
    return await one.open(context, origin=origin, **{"from": one.proxy.origin}, **options)


async def streams_polls_and_streams(one, tab):
    """Has it do all three under load."""
    await tab.streams()
    async with one.publisher.steadily():
        await one.proxy.become(Fault.REFUSE, EVENTS)
        one.proxy.reset(EVENTS)
        await tab.polls()
        await one.proxy.become(Fault.NONE)
        await tab.streams()
    await tab.accounts_for(one.publisher.last)


async def test_a_page_of_another_origin_streams_and_polls_and_asks_nobody_first(world):
    async with elsewhere(world) as (one, origin):
        tab = await opened(one, origin)
        await streams_polls_and_streams(one, tab)

        # Without a token every request is one that a browser sends without a preflight.
        assert {exchange.method for exchange in one.proxy.requests} == {b"GET"}


async def test_a_page_of_another_origin_presents_its_token(world):
    async with elsewhere(world, auth=auth_settings()) as (one, origin):
        one.publisher.authenticate()
        tab = await opened(one, origin, give_token=lambda: mint("ann", subscribe=["order"]))
        await streams_polls_and_streams(one, tab)


@pytest.mark.parametrize("sends", [True, False])
async def test_a_page_of_another_origin_sends_cookies_only_where_it_is_told_to(world, sends):
    async with elsewhere(world, auth=auth_settings(cookie=COOKIE)) as (one, origin):
        one.publisher.authenticate()
        context = await one.profile()
        token = mint("ann", subscribe=["order"])
        # A cookie belongs to a host, whatever the port.
        cookie = {"name": COOKIE, "value": token, "url": one.proxy.origin, "sameSite": "Lax"}
        await context.add_cookies([cookie])
        tab = await opened(one, origin, context, withCredentials=sends)
        if sends:
            await streams_polls_and_streams(one, tab)
        else:
            await tab.becomes("failed")


async def test_a_page_that_is_not_let_in_never_streams(world):
    async with world() as one, faulty_proxy(one.gateway.port, PAGES) as site:
        tab = await one.open(origin=site.origin, baseUrl=one.proxy.origin)
        await tab.becomes("unavailable")

        assert await tab.got() == []
