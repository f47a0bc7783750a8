"""`tidegate token` and `tidegate key`: what they print, and why they refuse to."""

import asyncio
import hashlib
import json
import os
import time
import tomllib
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner

from gateway.access.static_keys import StaticKeys
from gateway.access.token_keys import keys_of_secret
from gateway.access.tokens import Expected, FixedKeys, TokenVerifier
from gateway.cli.main import app
from gateway.service.settings import Settings
from tests.support.tokens import SECRET


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Runs commands in an empty directory, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    return CliRunner()


def configure(**members: str) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in members.items()]
    Path("tidegate.toml").write_text("\n".join(["[auth]", 'mode = "jwt"', *lines]))


def minted(run: CliRunner, *options: str) -> dict[str, Any]:
    result = run.invoke(app, ["token", "--sub", "u42", *options])
    assert (result.exit_code, result.stderr) == (0, "")
    return jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"], options={"verify_aud": False})


def refusal(run: CliRunner, *options: str) -> str:
    result = run.invoke(app, ["token", "--sub", "u42", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    (sentence,) = result.stderr.splitlines()
    assert SECRET not in sentence
    return sentence


def test_a_token_is_valid_for_an_hour_and_has_an_id_of_its_own(run: CliRunner) -> None:
    configure(secret=SECRET)
    one, other = minted(run), minted(run)
    assert one["sub"] == "u42"
    assert one["exp"] - one["iat"] == 3600
    assert one["jti"] != other["jti"]
    assert set(one) == {"sub", "iat", "exp", "jti"}


def test_a_token_has_the_claims_and_grants_of_its_options(run: CliRunner) -> None:
    configure(secret=SECRET)
    claims = minted(
        run,
        *("--claims", '{"role": "customer", "n": 7}', "--admin", "--expires-in", "60"),
        *("--subscribe", "order:customer_id=eq.42", "--subscribe", '{"entity": "job", "members": ["id"]}'),
        *("--publish", "order", "--publish", "global", "--publish", "*"),
        *("--presence", "portal", "--presence", "*", "--broadcast", "chat"),
    )
    assert (claims["role"], claims["n"], claims["exp"] - claims["iat"]) == ("customer", 7, 60)
    assert claims["tidegate"] == {
        "subscribe": ["order:customer_id=eq.42", {"entity": "job", "members": ["id"]}],
        "publish": ["order", "global", "*"],
        "presence": ["portal", "*"],
        "broadcast": ["chat"],
        "admin": True,
    }


def test_grants_may_be_among_the_claims(run: CliRunner) -> None:
    configure(secret=SECRET)
    grants = {"tidegate": {"subscribe": ["*"], "presence": ["portal"]}}
    assert minted(run, "--claims", json.dumps(grants))["tidegate"] == grants["tidegate"]
    assert "not by both" in refusal(run, "--claims", json.dumps(grants), "--admin")


def test_a_token_is_one_that_the_gateway_takes(run: CliRunner) -> None:
    configure(secret=SECRET, audience="shop", issuer="https://idp.example/")
    claims = minted(run)
    assert (claims["aud"], claims["iss"]) == ("shop", "https://idp.example/")
    expected = Expected("shop", "https://idp.example/")
    token = jwt.encode(claims, SECRET, "HS256")
    verifier = TokenVerifier(FixedKeys(keys_of_secret(SECRET)), expected, time.time)
    assert asyncio.run(verifier.claims(token)) == claims


def test_no_token_is_printed_that_the_gateway_would_refuse(run: CliRunner) -> None:
    configure(secret=SECRET, audience="shop")
    assert "aud" in refusal(run, "--claims", '{"aud": "other"}')
    assert "nbf" in refusal(run, "--claims", '{"nbf": 99999999999}')
    assert "jti" in refusal(run, "--claims", '{"jti": 7}')
    assert "16384 bytes" in refusal(run, "--claims", json.dumps({"x": "x" * 16_384}))


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ("{", "not JSON"),
        ("{} x", "not JSON"),
        ('{"n": NaN}', "not JSON"),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        ('{"sub": "u43"}', "must not have sub"),
        ('{"exp": 7}', "must not have exp"),
    ],
)
def test_claims_are_a_json_object_of_further_ones(run: CliRunner, claims: str, problem: str) -> None:
    configure(secret=SECRET)
    assert problem in refusal(run, "--claims", claims)


def test_a_grant_in_json_is_json(run: CliRunner) -> None:
    configure(secret=SECRET)
    assert "--subscribe is not JSON" in refusal(run, "--subscribe", "{order}")


@pytest.mark.parametrize(
    "grant", ["", "a b", "order:", "order:a=xx.1", '{"entity": 7}', '{"entity": "a", "x": 1}']
)
def test_a_grant_that_would_grant_nothing_is_refused(run: CliRunner, grant: str) -> None:
    configure(secret=SECRET)
    assert "--subscribe must " in refusal(run, "--subscribe", "order", "--subscribe", grant)


@pytest.mark.parametrize("grant", ["", "a b", "order:7", "**"])
def test_what_may_be_published_is_named_by_entity_types(run: CliRunner, grant: str) -> None:
    configure(secret=SECRET)
    assert "--publish must be an entity type" in refusal(run, "--publish", grant)


@pytest.mark.parametrize("option", ["--presence", "--broadcast"])
@pytest.mark.parametrize("grant", ["", "a b", "portal:7", "**"])
def test_where_one_may_be_and_speak_is_named_by_channels(run: CliRunner, option: str, grant: str) -> None:
    configure(secret=SECRET)
    assert f"{option} must be a channel" in refusal(run, option, grant)


@pytest.mark.parametrize(
    "source", [{"public_key_file": "idp.pem"}, {"jwks_url": "https://idp.example/jwks.json"}]
)
def test_what_an_issuer_signs_the_issuer_has_to_make(run: CliRunner, source: dict[str, str]) -> None:
    configure(**source)
    (name,) = source
    assert refusal(run) == f"tidegate: Tokens are checked with auth.{name}: their issuer has to make them."


def test_without_a_secret_there_is_no_token(run: CliRunner) -> None:
    assert "auth.secret is not set" in refusal(run)


def test_a_secret_that_is_a_key_of_another_kind_signs_nothing(run: CliRunner) -> None:
    configure(secret='{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}')
    assert "auth.secret must be a secret" in refusal(run)


def test_a_token_is_somebody_s(run: CliRunner) -> None:
    configure(secret=SECRET)
    assert run.invoke(app, ["token"]).exit_code == 2
    assert "sub" in refusal(run, "--sub", "")


def test_a_key_is_printed_with_its_part_of_the_configuration(run: CliRunner) -> None:
    result = run.invoke(app, ["key", "billing"])
    assert (result.exit_code, result.stderr) == (0, "")
    key, empty, block = result.stdout.split("\n", 2)
    assert empty == ""
    assert key not in block
    (made,) = tomllib.loads(block)["auth"]["keys"]
    assert made == {"name": "billing", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    Settings.model_validate({"auth": {"keys": [made]}})
    assert StaticKeys({made["sha256"]: made["name"]}).find(key) == "billing"


@pytest.mark.parametrize("name", ["", "a b", 'a"', "a\nb", "x" * 65, "ü"])
def test_a_key_s_name_is_a_name(run: CliRunner, name: str) -> None:
    result = run.invoke(app, ["key", name])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "NAME must be 1 to 64" in result.stderr
