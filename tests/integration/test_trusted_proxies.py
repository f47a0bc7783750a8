"""Who is believed about whom it asks for: `server.trusted_proxies` (docs/protocol.md, section 9)."""

import pytest

from tests.support.admin import operator
from tests.support.api import JSON, Client
from tests.support.clock import ManualClock
from tests.support.gateway import make_settings
from tests.support.legacy import PATH, route_settings
from tests.support.upstream import upstream

TELEMETRY = "/api/v1/sync/telemetry"
REPORT = b'{"clientId":"c1","component":"orders","mode":"streaming","clientVersion":"2.1.0"}'
COMPONENTS = {"orders": {"entities": ["order"]}}
BURST = 100
"""How many reports an address may send at once."""


@pytest.fixture
def behind(start_gateway):
    """A client of a gateway that trusts those networks."""

    def start(trusted, **sections):
        settings = make_settings(
            server={"drain_seconds": 1.0, "trusted_proxies": trusted}, components=COMPONENTS, **sections
        )
        # Time stands still, so that nobody's limit is refilled.
        return Client(start_gateway(settings, clock=ManualClock()).port)

    return start


async def reported(client, *fields):
    answer = await client.request("POST", TELEMETRY, headers=[JSON, *fields], body=REPORT)
    return answer.status


@pytest.mark.parametrize("field", ["X-Forwarded-For", "Forwarded"])
async def test_each_client_behind_a_trusted_proxy_has_a_limit_of_its_own(behind, field):
    client = behind(["127.0.0.1/32", "10.0.0.0/8"])
    one, other = ("203.0.113.7", "203.0.113.8")
    chain = "198.51.100.{n}, {client}, 10.0.0.1"
    if field == "Forwarded":
        chain = 'for=198.51.100.{n}, for="{client}:47", for=10.0.0.1'
    for number in range(BURST):
        said = (field, chain.format(n=number, client=one))
        assert await reported(client, said) == 202
    assert await reported(client, (field, chain.format(n=1, client=one))) == 429
    assert await reported(client, (field, chain.format(n=1, client=other))) == 202


async def test_what_a_stranger_says_of_itself_counts_for_nothing(behind):
    client = behind(["10.0.0.0/8"])
    for _ in range(BURST + 1):
        assert await reported(client, ("X-Forwarded-For", "203.0.113.7")) == 202
    assert await client.metric("tidegate_forwarded_ignored_total", reason="untrusted") == BURST + 1


async def test_a_chain_without_an_address_is_counted(behind):
    client = behind(["127.0.0.1"])
    assert await client.metric("tidegate_forwarded_ignored_total", reason="unreadable") == 0
    assert await reported(client, ("X-Forwarded-For", "203.0.113.7, unknown")) == 202
    assert await client.metric("tidegate_forwarded_ignored_total", reason="unreadable") == 1


SAID = [
    ("X-Forwarded-For", "198.51.100.1, 203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
    ("X-Forwarded-Port", "443"),
]


@pytest.mark.parametrize("connection", [[], [("Connection", "X-Forwarded-For, X-Forwarded-Proto")]])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_trusted_proxy_s_word_reaches_the_upstream(behind, method, connection):
    async with upstream() as backend:
        client = behind(["127.0.0.1/32"], legacy=[route_settings(backend.url, 60.0)])
        await client.request(method, f"{PATH}/A", headers=[*SAID, *connection])
        asked = backend.asked[-1].headers
    assert asked.getall("X-Forwarded-For") == ["198.51.100.1, 203.0.113.7, 127.0.0.1"]
    assert asked.getall("X-Forwarded-Proto") == ["https"]
    assert asked.getall("X-Forwarded-Host") == ["shop.example"]
    assert asked.getall("X-Forwarded-Port") == ["443"]


@pytest.mark.parametrize("trusted", [[], ["127.0.0.2/32", "10.0.0.0/8", "::/0"]])
async def test_nobody_else_s_does(behind, trusted):
    async with upstream() as backend:
        client = behind(trusted, legacy=[route_settings(backend.url, 60.0)])
        said = [*SAID, ("Forwarded", "for=203.0.113.7;proto=https"), ("Host", "localhost:8080")]
        await client.request("POST", PATH, headers=said, body=b"")
        asked = next(asked for asked in backend.asked if asked.method == "POST").headers
    assert asked.getall("X-Forwarded-For") == ["127.0.0.1"]
    assert asked.getall("X-Forwarded-Proto") == ["http"]
    assert asked.getall("X-Forwarded-Host") == ["localhost:8080"]
    assert not {"X-Forwarded-Port", "Forwarded"} & asked.keys()


async def test_forwarded_reaches_the_upstream_with_the_proxy_added(behind):
    async with upstream() as backend:
        client = behind(["127.0.0.1/32"], legacy=[route_settings(backend.url, 60.0)])
        line = 'for="[2001:db8::7]:47";proto=https;host=shop.example'
        await client.request("POST", PATH, headers=[("Forwarded", line)], body=b"")
        asked = next(asked for asked in backend.asked if asked.method == "POST").headers
    assert asked.getall("Forwarded") == [f"{line}, for=127.0.0.1"]
    assert asked.getall("X-Forwarded-For") == ["2001:db8::7, 127.0.0.1"]
    assert (asked["X-Forwarded-Proto"], asked["X-Forwarded-Host"]) == ("https", "shop.example")


async def test_administration_takes_nothing_through_a_trusted_proxy_either(behind):
    client = behind(["127.0.0.1/32"])
    async with operator(client.port) as admin:
        answer = await admin.get("/api/v1/admin/flags", X_Forwarded_For="127.0.0.1")
    assert answer.status_code == 403
