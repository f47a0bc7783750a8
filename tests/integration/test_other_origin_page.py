"""A page of another origin in a real browser, where the gateway lets it in and where it does not."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from tests.support.chromium import showing
from tests.support.gateway import make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import listening, upstream

PAGES = Path(__file__).parent / "pages"


class Site:
    """A web server with the page, which reports to it."""

    def __init__(self):
        self.origin = ""
        self.report = asyncio.get_running_loop().create_future()

    async def take(self, request):
        self.report.set_result(orjson.loads(await request.read()))
        return web.Response(status=204)


@asynccontextmanager
async def site():
    one = Site()
    app = web.Application()
    app.router.add_post("/report", one.take)
    app.router.add_static("/", PAGES)
    async with listening(app) as one.origin:
        yield one


@pytest.fixture
async def report(start_gateway, tmp_path):
    """Gives what the page tells, and the upstream's writes, when the gateway lets it in and when not."""

    async def shown(listed_in_cors):
        async with site() as page, upstream() as backend:
            backend.says(listed(order("A")), Access_Control_Allow_Origin="https://upstream.example")
            cors = {"origins": [page.origin, "https://app.shop.example"] if listed_in_cors else []}
            flags = {"store": f"file:{tmp_path / 'flags.json'}"}
            legacy = [route_settings(backend.url, 60.0)]
            gateway = start_gateway(make_settings(cors=cors, flags=flags, legacy=legacy))
            url = f"{page.origin}/other_origin.html?gateway=http://127.0.0.1:{gateway.port}&path={PATH}"
            with showing(url, tmp_path):
                async with asyncio.timeout(DEADLINE_SECONDS):
                    told = await page.report
            written = [asked.method for asked in backend.asked if asked.method != "GET"]
            return told, written

    return shown


async def test_a_page_that_is_let_in_streams_writes_and_reads_what_the_contract_names(report):
    told, written = await report(listed_in_cors=True)

    assert told["stream"] == {"opened": True, "seen": [0, 1, 2]}
    assert (told["polled"]["status"], told["polled"]["fields"]) == (200, ["etag", "link", "fetch-mode"])
    assert told["unchanged"]["status"] == 304
    assert told["unchanged"]["etag"] == told["polled"]["etag"]
    assert told["legacy"]["status"] == 200
    assert told["legacy"]["fields"] == ["etag", "sync-cursor", "link", "fetch-mode", "cache-status", "age"]
    assert (told["written"]["status"], written) == (200, ["PUT"])
    assert (told["absent"]["status"], orjson.loads(told["absent"]["body"])["status"]) == (404, 404)
    assert told["refused"]["status"] == 405
    assert told["refused"]["fields"] == ["allow"]
    assert told["tooLong"]["status"] == 431


async def test_a_page_that_is_not_let_in_gets_nothing(report):
    told, written = await report(listed_in_cors=False)

    failed = {"failed": "TypeError"}
    assert told.pop("stream") == {"opened": False, "seen": []}
    assert told == dict.fromkeys(told, failed)
    assert len(told) == 7
    assert written == ["OPTIONS"]
