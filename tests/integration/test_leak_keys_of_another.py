"""A leak: a token counts by a key that is not its issuer's, or is no longer."""

import asyncio
import base64
import hmac
import json

import jwt
import pytest

from tests.support.api import EVENTS, HISTORY, POLL, Client, assert_problem
from tests.support.clock import ManualClock
from tests.support.gateway import make_settings
from tests.support.issuer import b64, jwk, private_key, public_pem, signed
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.tokens import SECRET, auth_settings, mint
from tests.support.upstream import upstream

KID = "of-the-year"
READS = [POLL, HISTORY, PATH, EVENTS]
ASKED_SECONDS = 11.0
"""After so long a token with an unknown key has the keys fetched again."""


def claims(now=None):
    made = mint(subscribe=["*"], publish=["*"], admin=True, now=now)
    return jwt.decode(made, options={"verify_signature": False})


def token_of(name, *, kid=KID, now=None, **header):
    """A token that is signed with the key of that name, whatever its header says."""
    return signed({"alg": "ES256", "kid": kid, **header}, claims(now), "ES256", private_key("ES256", name))


def document(*keys):
    return json.dumps({"keys": keys}).encode()


def legacy(backend):
    return [route_settings(backend.url, 3600.0)]


async def assert_nothing_is_told(port, token, *headers):
    for path in READS:
        assert_problem(await Client(port, token).get(path, headers=headers), 401)


class Issuer:
    """An issuer whose keys a gateway fetches, once it is asked to by a token with another `kid`."""

    def __init__(self, backend, start_gateway):
        self._backend = backend
        self._start = start_gateway
        self.clock = ManualClock()

    @property
    def now(self):
        return self.clock.wall_ms() / 1000

    async def start(self, *keys, legacy=()):
        self._backend.says(document(*keys))
        settings = make_settings(auth={"mode": "jwt", "jwks_url": self._backend.url}, legacy=[*legacy])
        gateway = await asyncio.to_thread(self._start, settings, clock=self.clock)
        return gateway.port

    async def publishes(self, port, *keys):
        """From now on these keys alone count, and the gateway knows."""
        self._backend.says(document(*keys))
        self.clock.advance(ASKED_SECONDS)
        before = len(self._backend.asked)
        assert_problem(await Client(port, token_of("", kid="unknown", now=self.now)).get(POLL), 401)
        assert len(self._backend.asked) == before + 1


@pytest.fixture
def issuer(backend, start_gateway):
    return Issuer(backend, start_gateway)


async def test_a_token_that_was_good_does_not_outlive_its_key_where_another_has_its_kid(issuer):
    async with upstream() as orders:
        orders.says(listed(order("1")))
        port = await issuer.start(jwk("ES256", "old", kid=KID), legacy=legacy(orders))
        old, new = (token_of(name, now=issuer.now) for name in ("old", "new"))
        client = Client(port, old)
        tag = (await client.get(POLL)).headers["ETag"]
        of_snapshot = (await client.get(PATH)).headers.get("ETag", "*")
        await assert_nothing_is_told(port, new)
        await issuer.publishes(port, jwk("ES256", "new", kid=KID))
        await assert_nothing_is_told(port, old)
        await assert_nothing_is_told(port, old, ("If-None-Match", tag))
        await assert_nothing_is_told(port, old, ("If-None-Match", of_snapshot))
        assert len(orders.asked) == 1
        assert (await Client(port, new).get(POLL)).status == 200


async def test_a_token_that_was_good_does_not_outlive_its_key_where_others_stay(issuer):
    stays = jwk("ES256", "stays", kid="stays")
    port = await issuer.start(stays, jwk("ES256", "goes", kid=KID))
    going, staying = (
        token_of(name, kid=kid, now=issuer.now) for name, kid in (("goes", KID), ("stays", "stays"))
    )
    for token in (going, staying):
        assert (await Client(port, token).get(POLL)).status == 200
    await issuer.publishes(port, stays)
    await assert_nothing_is_told(port, going)
    assert (await Client(port, staying).get(POLL)).status == 200


@pytest.mark.parametrize("kid", [KID, None, "another"])
async def test_a_kid_alone_makes_no_key_one_for_another_algorithm(issuer, kid):
    public = jwk("RS256", "rsa", kid=KID)
    port = await issuer.start(public, jwk("ES256", "ec", kid="of-ec"))
    header = {} if kid is None else {"kid": kid}
    pem = public_pem(private_key("RS256", "rsa"))
    forged = [
        # Signed with another's key of the algorithm that the header names.
        signed({"alg": "ES256", **header}, claims(issuer.now), "ES256", private_key("ES256", "attacker")),
        signed({"alg": "RS256", **header}, claims(issuer.now), "RS256", private_key("RS256", "attacker")),
        # Signed with the issuer's own key for something else.
        signed({"alg": "RS256", **header}, claims(issuer.now), "ES256", private_key("ES256", "ec")),
        signed({"alg": "ES256", "kid": KID}, claims(issuer.now), "ES256", private_key("ES256", "ec")),
        # What everybody knows, taken for a secret.
        *(_with_secret(secret, header, claims(issuer.now)) for secret in (pem, pem.strip(), b"", b"null")),
    ]
    for token in forged:
        await assert_nothing_is_told(port, token)


def _with_secret(secret, header, payload):
    """A token of HS256 with any secret, as a library makes none."""
    unsigned = signed({"alg": "HS256", **header}, payload, "ES256", private_key("ES256", "attacker"))
    signing_input = unsigned.rpartition(".")[0]
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


def brought_along(url):
    """Headers with which a token names its own key, or where one is to be had."""
    own = jwk("ES256", "attacker", kid=KID)
    certificate = base64.b64encode(public_pem(private_key("ES256", "attacker"))).decode()
    return [
        {"jku": url},
        {"x5u": url},
        {"jwk": own},
        {"x5c": [certificate]},
        {"x5t": "x", "x5t#S256": "x", "jku": url},
        {"jku": url, "x5u": url, "jwk": own, "x5c": [certificate]},
        {"kid": url},
        {"kid": "../../../../dev/null"},
        {"kid": f"{KID}\0"},
        {"kid": f" {KID}"},
        {"jwks_uri": url, "iss": url},
    ]


@pytest.fixture(params=["secret", "public_key_file", "jwks_url"])
async def auth(request, tmp_path, backend):
    """Each way to say how tokens are checked; `backend` is the issuer of the last."""
    if request.param == "secret":
        return auth_settings()
    if request.param == "public_key_file":
        file = tmp_path / "idp.pem"
        file.write_bytes(public_pem(private_key("ES256", "issuer")))
        return {"mode": "jwt", "public_key_file": str(file)}
    backend.says(document(jwk("ES256", "issuer", kid=KID)))
    return {"mode": "jwt", "jwks_url": backend.url}


async def test_nothing_that_a_token_brings_along_or_names_is_a_key_or_asked_for(auth, backend, start_gateway):
    async with upstream() as attacker:
        attacker.says(document(jwk("ES256", "attacker", kid=KID)))
        gateway = await asyncio.to_thread(
            start_gateway, make_settings(auth=auth, legacy=[route_settings(attacker.url, 3600.0)])
        )
        forged = [token_of("attacker", **header) for header in brought_along(attacker.url)]
        forged += [
            # Named in the claims, where some libraries look for their issuer's address.
            signed(
                {"alg": "ES256", "kid": KID},
                claims() | {"iss": attacker.url, "jku": attacker.url},
                "ES256",
                private_key("ES256", "attacker"),
            ),
            mint(
                subscribe=["*"],
                secret="another secret, as long as it should be",
                headers={"jku": attacker.url},
            ),
        ]
        for token in forged:
            await assert_nothing_is_told(gateway.port, token)
        assert attacker.asked == []
        assert {asked.target for asked in backend.asked} <= {"/orders"}


async def test_what_a_token_of_the_issuer_s_own_names_is_not_asked_for_either(start_gateway):
    async with upstream() as attacker:
        port = start_gateway(make_settings(auth=auth_settings())).port
        for header in brought_along(attacker.url):
            answer = await Client(port, mint(subscribe=["*"], secret=SECRET, headers=header)).get(POLL)
            assert answer.status == 200, header
        assert attacker.asked == []
