"""The client through every fault of a network: it comes back by itself, and loses and doubles nothing."""

import pytest

from tests.support.api import EVENTS, POLL
from tests.support.browser_world import BOTH_WAYS, FAST, SPEED
from tests.support.faulty_proxy import Fault
from tests.support.loop import in_time


def times_connected(number):
    """What is true in a page that has been told `connected` that often."""
    return f"got.filter(({{ type }}) => type === 'connected').length >= {number}"


def since_loaded(proxy):
    """The first poll of the page that was loaded last, and its streams."""
    [*_, loaded] = proxy.asked("/static/tidegate.js")
    since = proxy.requests[proxy.requests.index(loaded) :]
    polls = [exchange for exchange in since if exchange.path == POLL]
    return polls[0], [exchange for exchange in since if exchange.path == EVENTS]


@BOTH_WAYS
@pytest.mark.parametrize("way", ["cut", "reset"])
async def test_a_stream_that_is_cut_off_again_and_again_goes_on_where_it_was(world, way, shared):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED, shared=shared)
        await tab.streams()
        async with one.publisher.steadily():
            for times in range(2, 5):
                assert getattr(one.proxy, way)(EVENTS) == 1
                await tab.until(times_connected(times))

        await tab.accounts_for(one.publisher.last)


@BOTH_WAYS
async def test_a_stream_that_falls_silent_is_given_up_for_another(world, shared):
    async with world() as one:
        tab = await one.open(shared=shared)
        await tab.streams()
        async with one.publisher.steadily():
            await tab.has(3)
            assert one.proxy.silence(EVENTS) == 1
            await tab.until(times_connected(2))

        await tab.accounts_for(one.publisher.last)


@pytest.mark.parametrize("fault", [Fault.DELAY, Fault.SPLIT])
async def test_a_stream_that_comes_late_or_byte_by_byte_is_read_as_any_other(world, fault):
    async with world() as one:
        await one.proxy.become(fault)
        tab = await one.open()
        await tab.streams()
        async with one.publisher.steadily():
            await tab.has(5)

        await tab.accounts_for(one.publisher.last)
        assert await tab.value("went.includes('connected/poll')") is False


@BOTH_WAYS
@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.BAD_GATEWAY, Fault.STALL])
async def test_where_nothing_gets_through_it_is_unavailable_and_streams_once_something_does(
    world, fault, shared
):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED, shared=shared)
        await tab.streams()
        async with one.publisher.steadily():
            await one.proxy.become(fault)
            one.proxy.reset()
            await tab.becomes("unavailable")
            await one.proxy.become(Fault.NONE)
            await tab.streams()

        await tab.accounts_for(one.publisher.last)


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.BAD_GATEWAY])
async def test_where_streams_alone_get_lost_it_polls_and_streams_once_they_do_not(world, fault):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED)
        await tab.streams()
        async with one.publisher.steadily():
            await one.proxy.become(fault, EVENTS)
            one.proxy.reset(EVENTS)
            await tab.polls()
            await tab.has(one.publisher.last + 1)
            await one.proxy.become(Fault.NONE)
            await tab.streams()

        await tab.accounts_for(one.publisher.last)


@BOTH_WAYS
async def test_a_network_that_buffers_streams_is_polled_through_and_streamed_through_once_it_does_not(
    world, shared
):
    async with world(**FAST) as one:
        await one.proxy.become(Fault.BUFFER)
        tab = await one.open(speed=SPEED, shared=shared)
        await tab.polls()
        # By its own clock: 8 s for a word of the stream.
        assert await tab.value("clock.now()") >= 8_000
        async with one.publisher.steadily():
            await tab.has(3)
            await one.proxy.become(Fault.NONE)
            await tab.streams()

        await tab.accounts_for(one.publisher.last)


async def test_a_network_that_was_mute_is_polled_at_once_after_a_reload_and_streamed_again_all_the_same(
    world,
):
    async with world(**FAST) as one:
        await one.proxy.become(Fault.BUFFER)
        tab = await one.open(speed=SPEED)
        await tab.polls()
        await tab.reload()
        await tab.until("loads === 2")
        await tab.polls()

        poll, streams = since_loaded(one.proxy)
        assert all(stream.ended_at > poll.began_at for stream in streams)
        async with one.publisher.steadily():
            await tab.has(3)
            await one.proxy.become(Fault.NONE)
            await tab.streams()

        await tab.accounts_for(one.publisher.last, repeats=True)


async def test_streams_that_are_short_and_healthy_are_never_taken_for_a_mute_network(world):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED)
        await tab.streams()
        async with one.publisher.steadily():
            for times in range(1, 6):
                await tab.until(times_connected(times))
                one.proxy.cut(EVENTS)

        await tab.streams()
        await tab.accounts_for(one.publisher.last)
        assert await tab.value("Object.keys(localStorage).filter((name) => name.includes('mute'))") == []


async def test_events_published_between_poll_and_stream_come_once_by_either(world):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED)
        await tab.streams()
        async with one.publisher.steadily():
            for _ in range(3):
                await one.proxy.become(Fault.REFUSE, EVENTS)
                one.proxy.reset(EVENTS)
                await tab.polls()
                await one.proxy.become(Fault.NONE)
                await tab.streams()

        await tab.accounts_for(one.publisher.last)


async def test_a_backlog_comes_whole_by_polls_too(world):
    async with world(**FAST) as one:
        tab = await one.open(speed=SPEED)
        await tab.streams()
        await one.publisher.publish()
        await tab.has(1)
        await one.proxy.become(Fault.REFUSE)
        one.proxy.reset()
        for _ in range(3):
            await one.publisher.publish(1_000)
        await one.proxy.become(Fault.REFUSE, EVENTS)

        await tab.accounts_for(one.publisher.last)
        assert await tab.value("sync.transport") == "poll"


async def test_a_poll_that_never_settles_is_given_up_for_another(world):
    async with world(**FAST) as one:
        await one.flag(stage="live", percentage=0, pollIntervalMs=1_000)
        tab = await one.open(components=["orders"], speed=SPEED)
        await tab.polls()
        await one.proxy.become(Fault.STALL, POLL)
        await in_time(lambda: one.proxy.silence(POLL) == 1, "a poll is under way")
        await one.proxy.become(Fault.NONE)
        await one.publisher.publish(5)

        await tab.accounts_for(5)
