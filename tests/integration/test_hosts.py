"""By which names the gateway may be called, and which pages may write (docs/protocol.md, section 9)."""

import orjson
import pytest

from tests.support.api import EVENTS, HISTORY, JSON, POLL, Client, assert_problem, event
from tests.support.gateway import make_settings
from tests.support.legacy import PATH
from tests.support.upstream import upstream

READS = (EVENTS, POLL, HISTORY, "/api/v1/sync/fetch-mode?component=orders", "/readyz", "/metrics", "/nowhere")
BODY = orjson.dumps(event())


@pytest.fixture
def client(start_gateway):
    return Client(start_gateway(make_settings()).port)


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.nip.example", "192.0.2.1"])
async def test_by_another_name_nothing_can_be_read(client, path, host):
    assert_problem(await client.request("GET", path, headers=[("Host", host)]), 421)


async def test_by_another_name_nothing_can_be_published(client):
    answer = await client.request("POST", EVENTS, headers=[("Host", "evil.example"), JSON], body=BODY)
    assert_problem(answer, 421)
    assert (await client.get(HISTORY)).json["events"] == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.:80", "127.0.0.9", "[::1]:8080", "gateway"])
async def test_names_of_loopback_and_of_this_network_are_served(client, host):
    assert (await client.request("GET", POLL, headers=[("Host", host)])).status == 200


async def test_a_health_check_may_call_by_any_name(client):
    assert (await client.request("GET", "/healthz", headers=[("Host", "10.1.2.3")])).status == 200


async def test_names_that_are_configured_are_served_beside_those_of_loopback(start_gateway):
    client = Client(start_gateway(make_settings(server={"hosts": ["shop.example"]})).port)
    for host in ("shop.example", "Shop.Example:443", "Shop.Example.", "localhost"):
        assert (await client.request("GET", POLL, headers=[("Host", host)])).status == 200, host
    assert_problem(await client.request("GET", POLL, headers=[("Host", "other.shop.example")]), 421)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", ""])
async def test_a_page_of_another_site_can_not_publish(client, origin):
    answer = await client.request("POST", EVENTS, headers=[("Origin", origin), JSON], body=BODY)
    assert_problem(answer, 403)
    assert (await client.get(HISTORY)).json["events"] == []


@pytest.mark.parametrize("origin", ["http://localhost", "https://localhost", "HTTPS://LOCALHOST"])
async def test_the_gateway_s_own_page_can_publish(client, origin):
    answer = await client.request("POST", EVENTS, headers=[("Origin", origin), JSON], body=BODY)
    assert answer.status == 201


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:443", "https://localhost", 201),
        ("localhost:80", "http://localhost", 201),
        ("[::1]:443", "https://[::1]", 201),
        ("localhost:443", "http://localhost", 403),
        ("localhost:80", "https://localhost", 403),
        ("localhost", "ftp://localhost", 403),
        ("localhost", "localhost", 403),
    ],
)
async def test_a_scheme_s_own_port_is_the_same_as_none(client, host, origin, status):
    headers = [("Host", host), ("Origin", origin), JSON]
    assert (await client.request("POST", EVENTS, headers=headers, body=BODY)).status == status


async def test_a_page_of_another_site_can_not_write_through_a_legacy_route(start_gateway):
    async with upstream() as backend:
        route = {"component": "orders", "path": PATH, "upstream": backend.url, "entity": "order", "key": "id"}
        client = Client(start_gateway(make_settings(legacy=[route | {"items": ""}])).port)
        evil = [("Origin", "http://evil.example"), JSON]
        assert_problem(await client.request("POST", PATH, headers=evil, body=b"{}"), 403)
        assert_problem(await client.request("PUT", f"{PATH}/7", headers=evil, body=b"{}"), 403)
        assert [asked.method for asked in backend.asked if asked.method != "GET"] == []


async def test_a_bound_gateway_s_names_follow_from_its_settings():
    assert make_settings().server.names == ()
    assert make_settings(server={"hosts": ["shop.example"]}).server.names == ("shop.example",)
