"""Keys that an issuer publishes, from the start of a gateway on (docs/protocol.md, section 9)."""

import asyncio
import json

import jwt

from tests.support.api import POLL, Client, assert_problem, eventually
from tests.support.gateway import make_settings
from tests.support.issuer import jwk, private_key
from tests.support.tokens import mint, static_key
from tests.support.upstream import held_until

DOCUMENT = json.dumps({"keys": [jwk("ES256", kid="now")]}).encode()


def token(kid="now"):
    claims = jwt.decode(mint(subscribe=["*"]), options={"verify_signature": False})
    return jwt.encode(claims, private_key("ES256", ""), algorithm="ES256", headers={"kid": kid})


def settings_of(url):
    return make_settings(auth={"mode": "jwt", "jwks_url": url})


async def started(start_gateway, url):
    """The port of a gateway, started beside this event loop, in which the issuer answers."""
    gateway = await asyncio.to_thread(start_gateway, settings_of(url))
    return gateway.port


async def test_tokens_of_a_published_key_count(start_gateway, backend):
    backend.says(DOCUMENT)
    port = await started(start_gateway, backend.url)
    assert (await Client(port, token()).get(POLL)).status == 200
    assert_problem(await Client(port, token("other")).get(POLL), 401)
    assert_problem(await Client(port, mint(subscribe=["*"])).get(POLL), 401)


async def test_an_issuer_that_says_nothing_holds_up_no_start_and_its_tokens_wait(start_gateway, backend):
    gate = asyncio.Event()
    backend.answering = held_until(gate, DOCUMENT)
    port = await started(start_gateway, backend.url)
    assert (await Client(port).get("/healthz")).status == 200
    assert (await Client(port).get(POLL)).status == 401
    waiting = asyncio.ensure_future(Client(port, token()).get(POLL))
    gate.set()
    assert (await waiting).status == 200


async def test_where_the_issuer_was_never_in_reach_tokens_can_not_be_told_from_forged_ones(
    start_gateway, refusing
):
    port = await started(start_gateway, refusing)
    answer = await Client(port, token()).get(POLL)
    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1


async def test_what_became_of_fetching_keys_is_counted(start_gateway, backend):
    backend.says(b"<!doctype html>")
    key, table = static_key("prometheus", metrics=True)
    settings = make_settings(auth={"mode": "jwt", "jwks_url": backend.url, "keys": [table]})
    gateway = await asyncio.to_thread(start_gateway, settings)
    scraper = Client(gateway.port, key)

    async def failed():
        return await scraper.metric("tidegate_jwks_fetch_failures_total") >= 1

    await eventually(failed, "a fetch failed")
    assert await scraper.metric("tidegate_jwks_fetches_total") >= 1


async def test_operators_are_warned_while_the_issuer_is_out_of_reach(start_gateway, backend, refusing):
    key, table = static_key("probe")
    for url, warned in ((refusing, True), (backend.url, False)):
        backend.says(DOCUMENT)
        settings = make_settings(auth={"mode": "jwt", "jwks_url": url, "keys": [table]})
        gateway = await asyncio.to_thread(start_gateway, settings)
        answer = await Client(gateway.port, key).get("/readyz")
        assert answer.status == 200
        assert any("auth.jwks_url" in warning for warning in answer.json["warnings"]) == warned
