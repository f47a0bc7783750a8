"""The other engine: pages in Firefox do their tests by themselves, and report what they found."""

from contextlib import asynccontextmanager

from tests.support.api import EVENTS
from tests.support.faulty_proxy import PAGES_PATH
from tests.support.firefox import reported


@asynccontextmanager
async def shown(one, page, directory):
    """Firefox shows one of the pages, which may have five events published, and the streams cut."""

    async def publish():
        await one.publisher.publish(5)

    async def cut():
        one.proxy.cut(EVENTS)

    url = f"{one.proxy.origin}{PAGES_PATH}{page}"
    async with reported(url, directory, {"publish": publish, "cut": cut}) as reporter:
        yield reporter


async def test_firefoxs_event_source_goes_on_where_it_was_cut_off(world, tmp_path):
    async with world(stream={"retry_ms": 50}) as one, shown(one, "firefox_source.html", tmp_path) as page:
        assert (await page.report())["got"] == list(range(1, 11))
