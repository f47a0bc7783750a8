"""The other engine: pages in Firefox do their tests by themselves, and report what they found."""

from contextlib import asynccontextmanager

from tests.support.api import EVENTS
from tests.support.browser_world import FAST
from tests.support.faulty_proxy import PAGES_PATH, Fault
from tests.support.firefox import reported
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.publisher import doubled, lost
from tests.support.upstream import upstream


@asynccontextmanager
async def shown(one, page, directory, **query):
    """Firefox shows one of the pages, which may have things done by their names."""

    async def cut():
        one.proxy.cut(EVENTS)

    async def lose_streams():
        await one.proxy.become(Fault.REFUSE, EVENTS)
        one.proxy.reset(EVENTS)

    actions = {
        "publish": lambda: one.publisher.publish(5, of="A"),
        "cut": cut,
        "lose-streams": lose_streams,
        "mend": lambda: one.proxy.become(Fault.NONE),
        "split": lambda: one.proxy.become(Fault.SPLIT),
        "restart": one.restart,
    }
    url = f"{one.proxy.origin}{PAGES_PATH}{page}"
    async with reported(url, directory, actions, **query) as reporter:
        yield reporter


def accounts_for(told, *, last, first=1):
    """None of the events from `first` to `last` is missing in what a page tells, and none came twice."""
    assert told["last"] == last
    assert lost(told["got"], first=first, last=last) == []
    assert doubled(told["got"]) == []


async def test_firefoxs_event_source_goes_on_where_it_was_cut_off(world, tmp_path):
    async with world(stream={"retry_ms": 50}) as one, shown(one, "firefox_source.html", tmp_path) as page:
        assert (await page.report())["got"] == list(range(1, 11))


async def test_the_client_in_firefox_goes_on_where_it_was_cut_off_again_and_again(world, tmp_path):
    then = ["cut/sse", "split", "cut/sse", "mend", "cut/sse"]
    async with world(**FAST) as one, shown(one, "firefox_client.html", tmp_path, then=then) as page:
        accounts_for(await page.report(), last=55)


async def test_the_client_in_firefox_polls_where_streams_get_lost_and_streams_once_they_do_not(
    world, tmp_path
):
    then = ["lose-streams/poll", "mend/sse", "lose-streams/poll", "mend/sse"]
    async with world(**FAST) as one, shown(one, "firefox_client.html", tmp_path, then=then) as page:
        told = await page.report()

    accounts_for(told, last=45)
    assert told["went"] == ["sse", "poll", "sse", "poll", "sse"]


async def test_the_client_in_firefox_has_the_state_again_after_the_gateway_lost_its_history(world, tmp_path):
    async with upstream() as backend:
        backend.says(listed(order("A", n=0), order("B")))
        async with world(legacy=[route_settings(backend.url, 3600.0)], **FAST) as one:
            await one.client.get(PATH)
            query = {"then": ["restart/state"], "state": "true"}
            async with shown(one, "firefox_client.html", tmp_path, **query) as page:
                told = await page.report()

    accounts_for(told, last=15)
    entities = dict(told["entities"])
    assert entities["A"]["n"] == 15
    assert entities["B"] == {"orderID": "B"}


async def test_a_page_out_of_firefoxs_cache_goes_on_and_has_missed_nothing(world, tmp_path):
    async with world(**FAST) as one:
        await one.flag(stage="live", percentage=0, pollIntervalMs=10_000)
        async with shown(one, "firefox_returns.html", tmp_path) as page:
            told = await page.report()

    assert told["persisted"] is True
    assert len(told["got"]) == 15
    accounts_for(told, first=told["first"], last=told["first"] + 14)


async def test_tabs_in_firefox_share_one_stream_and_lose_nothing_with_the_tab_that_has_it(world, tmp_path):
    async with (
        world(stream={"heartbeat_seconds": 8.0}) as one,
        shown(one, "firefox_tabs.html", tmp_path) as page,
    ):
        told = await page.report()
        await one.has_streams(1)

    assert told["transports"] == ["sse", "shared", "shared"]
    for tab in told["tabs"]:
        accounts_for(tab, last=15)
