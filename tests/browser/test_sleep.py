"""A computer that slept, and a browser that was offline: what was open is dead, and nobody says so."""

import pytest

from tests.support.api import EVENTS
from tests.support.browser_world import BOTH_WAYS, FAST, SPEED
from tests.support.faulty_proxy import Fault
from tests.support.tokens import auth_settings, mint

HOUR_MS = 3_600_000


@BOTH_WAYS
@pytest.mark.parametrize("counts", [True, False], ids=["now-goes-on", "now-stands-still"])
async def test_after_an_hours_sleep_it_streams_again_and_has_missed_nothing(world, counts, shared):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED, shared=shared)
        await tab.streams()
        await one.publisher.publish(5)
        await tab.has(5)
        assert one.proxy.silence(EVENTS) == 1
        await one.publisher.publish(5)
        await tab.value(f"clock.sleep({HOUR_MS}, {{ counts: {str(counts).lower()} }})")

        await tab.accounts_for(10)


async def test_a_token_that_went_stale_while_it_slept_is_never_sent(world):
    tokens = [mint("ann", subscribe=["order"], lifetime=1_800.0), mint("ann", subscribe=["order"])]

    async with world(auth=auth_settings(), **FAST) as one:
        one.publisher.authenticate()
        given = iter([*tokens[:1], *tokens[1:] * 20])
        tab = await one.open(give_token=lambda: next(given), speed=SPEED)
        await tab.streams()
        await one.publisher.publish(5)
        await tab.has(5)
        asked = len(one.proxy.requests)
        one.proxy.silence(EVENTS)
        await one.publisher.publish(5)
        await tab.value(f"clock.sleep({HOUR_MS}, {{ counts: false }})")

        await tab.accounts_for(10)
        assert all(tokens[0].encode() not in exchange.head for exchange in one.proxy.requests[asked:])


async def test_a_browser_that_was_offline_streams_again_and_has_missed_nothing(world):
    async with world() as one:
        context = await one.profile()
        tab = await one.open(context)
        await tab.streams()
        async with one.publisher.steadily():
            await tab.has(3)
            await context.set_offline(True)
            one.proxy.reset()
            await tab.becomes("unavailable")
            await one.publisher.publish(5)
            await context.set_offline(False)
            await tab.streams()

        await tab.accounts_for(one.publisher.last)


async def test_the_word_that_it_is_online_brings_the_next_attempt_forward(world):
    async with world() as one:
        context = await one.profile()
        tab = await one.open(context, reconnectDelay=60_000)
        await tab.streams()
        await context.set_offline(True)
        await one.proxy.become(Fault.REFUSE)
        one.proxy.reset()
        await tab.becomes("unavailable")
        await one.publisher.publish(5)
        await one.proxy.become(Fault.NONE)
        await context.set_offline(False)

        await tab.accounts_for(5)
