"""Upstreams behind TLS: whom the gateway trusts, and who it is, for the poll and for what goes through."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.core.errors import ConfigError
from gateway.ports.legacy_route import UpstreamTls
from gateway.service.app import create_app
from tests.support.authority import Authority
from tests.support.clock import ManualClock
from tests.support.gateway import make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.upstream import in_front_of

pytestmark = pytest.mark.usefixtures("way_in")

GOOD = listed(order("A"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def behind_tls(context: ssl.SSLContext) -> AsyncIterator[str]:
    """A backend with a list, on a free port of the loopback."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=GOOD, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/orders"
    finally:
        await runner.cleanup()


async def statuses(url: str, tls: UpstreamTls) -> list[int]:
    """What the poll and a request that goes through come to."""
    async with in_front_of(url, ManualClock(), interval_seconds=3600.0, tls=tls) as one:
        return [(await one.get()).status, (await one.request("GET", PATH + "/A")).status]


async def test_an_authority_of_its_own_is_trusted(authority: Authority) -> None:
    async with behind_tls(authority.server_context(authority.sign("backend"))) as url:
        assert await statuses(url, UpstreamTls(ca_file=authority.ca_file)) == [200, 200]


async def test_nobody_else_is(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    async with behind_tls(authority.server_context(authority.sign("backend"))) as url:
        assert await statuses(url, UpstreamTls(ca_file=other.ca_file)) == [502, 502]
        assert await statuses(url, UpstreamTls()) == [502, 502]


async def test_a_certificate_for_another_address_is_not_trusted(authority: Authority) -> None:
    async with behind_tls(authority.server_context(authority.sign("backend", "127.0.0.2"))) as url:
        assert await statuses(url, UpstreamTls(ca_file=authority.ca_file)) == [502, 502]


def test_a_file_that_can_not_be_used_is_a_wrong_setting(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    route = route_settings("https://127.0.0.1:9/orders", 2.0, ca_file=missing)

    with pytest.raises(ConfigError, match=f"ca_file: {missing} can't be used: No such file"):
        create_app(make_settings(legacy=[route]))


async def test_the_gateway_says_who_it_is_where_it_has_a_certificate(authority: Authority) -> None:
    context = authority.server_context(authority.sign("backend"), asks_clients=True)
    gateway = authority.sign("gateway")
    async with behind_tls(context) as url:
        known = UpstreamTls(authority.ca_file, gateway.cert_file, gateway.key_file)
        assert await statuses(url, known) == [200, 200]
        assert await statuses(url, UpstreamTls(authority.ca_file)) == [502, 502]
