"""Tokens of another library, Node's `jose`, are taken here, and those that are made here are taken there."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.access.token_keys import KeySet, keys_of_jwks, keys_of_pem, keys_of_secret
from gateway.access.tokens import Expected, FixedKeys, TokenVerifier
from gateway.core.access_errors import InvalidToken
from tests.support.command import command
from tests.support.http import DEADLINE_SECONDS
from tests.support.issuer import PUBLIC, jwk, private_key, public_pem, signed
from tests.support.npm import JOSE, installed, require

SCRIPT = Path(__file__).parent / "clients" / "jose.mjs"
SECRET = "a secret that both libraries know of"
CLAIMS = {"role": "customer", "name": "Zoë", "n": 7, "tidegate": {"subscribe": ["order"]}}
EXPECTED = Expected("shop", "https://idp.example/")

Jose = Callable[..., Any]


@pytest.fixture(scope="session")
def jose(tmp_path_factory: pytest.TempPathFactory) -> Jose:
    """Has the other library do one task; the package is installed once a session."""
    script = installed(SCRIPT, tmp_path_factory.mktemp("jose"), JOSE)

    def run(task: str, **given: Any) -> Any:
        running = subprocess.run(
            [require("node"), str(script)],
            input=json.dumps([{"task": task, **given}]),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert running.returncode == 0, running.stderr
        (result,) = json.loads(running.stdout)
        return result

    return run


def verifier(keys: KeySet) -> TokenVerifier:
    return TokenVerifier(FixedKeys(keys), EXPECTED, time.time)


def own_claims() -> dict[str, Any]:
    now = int(time.time())
    usual = {"sub": "user-1", "aud": "shop", "iss": "https://idp.example/", "jti": "t-1"}
    return CLAIMS | usual | {"iat": now, "nbf": now, "exp": now + 3600}


@pytest.mark.parametrize("algorithm", PUBLIC)
async def test_a_token_of_theirs_is_taken_here(jose: Jose, algorithm: str) -> None:
    made = jose("issue", alg=algorithm, claims=CLAIMS)
    for keys in (keys_of_pem(made["pem"].encode()), keys_of_jwks({"keys": [made["jwk"]]})):
        claims = await verifier(keys).claims(made["token"])
        assert {name: claims[name] for name in CLAIMS} == CLAIMS
        assert claims["sub"] == "user-1"
    another = jose("issue", alg=algorithm, claims=CLAIMS)
    with pytest.raises(InvalidToken, match="signature"):
        await verifier(keys_of_jwks({"keys": [made["jwk"]]})).claims(another["token"])


async def test_a_token_that_they_sign_with_a_secret_is_taken_here(jose: Jose) -> None:
    made = jose("issue", alg="HS256", secret=SECRET, claims=CLAIMS)
    assert (await verifier(keys_of_secret(SECRET)).claims(made["token"]))["name"] == "Zoë"


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_token_of_ours_is_taken_there(jose: Jose, algorithm: str) -> None:
    claims = own_claims()
    token = signed({"alg": algorithm, "kid": "k"}, claims, algorithm, private_key(algorithm))
    keys = {"keys": [jwk(algorithm, kid="k", use="sig", alg=algorithm)]}
    pem = public_pem(private_key(algorithm)).decode()
    assert jose("read", token=token, alg=algorithm, jwks=keys) == {"claims": claims}
    assert jose("read", token=token, alg=algorithm, pem=pem) == {"claims": claims}


async def test_a_token_of_the_command_is_taken_there(jose: Jose, tmp_path: Path) -> None:
    config = tmp_path / "tidegate.toml"
    config.write_text(
        f'[auth]\nmode = "jwt"\nsecret = "{SECRET}"\naudience = "shop"\nissuer = "https://idp.example/"\n'
    )
    options = ("--sub", "user-1", "--claims", json.dumps({"name": "Zoë"}), "--config", str(config))
    async with command("token", *options) as running:
        code, token, errors = await running.end()
    assert (code, errors) == (0, "")
    read = jose("read", token=token.strip(), alg="HS256", secret=SECRET)
    assert (read["claims"]["sub"], read["claims"]["name"]) == ("user-1", "Zoë")
    other = jose("read", token=token.strip(), alg="HS256", secret=SECRET + "x")
    assert other == {"refused": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}
