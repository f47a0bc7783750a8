"""A page in a real browser whose user has a token in a cookie: an EventSource can send it no other way."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiohttp import web

from tests.support.admin import operator
from tests.support.chromium import showing
from tests.support.gateway import make_settings
from tests.support.http import DEADLINE_SECONDS
from tests.support.tokens import auth_settings, bearer, mint
from tests.support.upstream import listening

PAGES = Path(__file__).parent / "pages"
COOKIE = "session"


@asynccontextmanager
async def site(token):
    """A web server whose page gets the cookie; gives its origin, and what the page will report."""
    report = asyncio.get_running_loop().create_future()

    async def page(request):
        response = web.FileResponse(PAGES / "with_cookie.html")
        response.set_cookie(COOKIE, token, httponly=True, samesite="Lax")
        return response

    async def take(request):
        report.set_result(orjson.loads(await request.read()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_post("/report", take)
    app.router.add_static("/", PAGES)
    async with listening(app) as origin:
        yield origin, report


async def test_an_event_source_streams_what_its_users_cookie_is_granted_until_that_is_revoked(
    start_gateway, tmp_path
):
    grants = [{"entity": "order", "filters": ["owner=eq.ann"], "members": ["owner"]}]
    token = mint("ann", subscribe=grants, publish=["order"])
    async with site(token) as (origin, report):
        settings = make_settings(
            auth=auth_settings(cookie=COOKIE),
            cors={"origins": [origin]},
            flags={"store": f"file:{tmp_path}/flags.json"},
        )
        gateway = start_gateway(settings)
        with showing(f"{origin}/?gateway=http://127.0.0.1:{gateway.port}", tmp_path):
            async with operator(gateway.port) as admin, asyncio.timeout(DEADLINE_SECONDS):
                admin.http.headers.update([bearer(mint("root", admin=True))])
                listed = {"connections": []}
                while not listed["connections"]:
                    listed = (await admin.get("/api/v1/admin/connections")).json()
                while await published(admin) < 1:
                    pass
                revoked = {"subject": "ann", "reason": "a test"}
                response = await admin.send("POST", "/api/v1/admin/revocations", revoked)
                assert response.status_code == 201
                told = await report
    assert listed["connections"][0]["subject"] == "ann"
    assert (told["cookie"], told["withoutCookie"], told["published"]) == ("", 401, 201)
    assert told["seen"] == [{"owner": "ann"}]
    assert len(told["scope"]) == 11
    assert (told["bye"]["reason"], told["bye"]["reconnect"]) == ("revoked", False)


async def published(admin):
    """How many requests have published something."""
    return len((await admin.get("/api/v1/admin/audit?kind=publish")).json()["entries"])
