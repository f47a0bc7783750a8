"""What `[auth]` comes to: which keys count, and what is said of those that can't."""

from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import ConfigError
from gateway.service.settings import AuthSettings, Settings
from gateway.service.wiring.auth import check_mode, load_keys
from tests.support.issuer import PUBLIC, private_key, private_pem, public_pem
from tests.support.tokens import SECRET, static_key


def settings_of(directory: Path, **auth: object) -> Settings:
    return Settings.model_validate({"auth": {"mode": "jwt"} | auth}, context={"base_dir": directory})


def test_a_secret_is_a_key(tmp_path: Path) -> None:
    (key,) = load_keys(settings_of(tmp_path, secret=SECRET)).keys
    assert key.algorithm == "HS256"


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_file_is_found_beside_the_configuration(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "idp.pem").write_bytes(public_pem(private_key(algorithm)))
    (key,) = load_keys(settings_of(tmp_path, public_key_file="idp.pem")).keys
    assert key.algorithm == algorithm


def test_static_keys_alone_leave_no_key_for_tokens(tmp_path: Path) -> None:
    assert load_keys(settings_of(tmp_path, keys=[static_key("ci")[1]])).keys == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "auth.public_key_file can't be read: No such file or directory."),
        (b"nonsense", "auth.public_key_file must hold a public key in PEM (-----BEGIN PUBLIC KEY-----)."),
        (b"", "auth.public_key_file must hold a public key in PEM (-----BEGIN PUBLIC KEY-----)."),
    ],
)
def test_a_file_that_is_no_public_key_ends_the_start(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "idp.pem").write_bytes(content)
    with pytest.raises(ConfigError) as wrong:
        load_keys(settings_of(tmp_path, public_key_file="idp.pem"))
    assert wrong.value.detail == sentence


def test_a_private_key_is_not_told(tmp_path: Path) -> None:
    pem = private_pem(private_key("RS256"))
    (tmp_path / "idp.pem").write_bytes(pem)
    with pytest.raises(ConfigError, match="holds a private one") as wrong:
        load_keys(settings_of(tmp_path, public_key_file="idp.pem"))
    assert pem.decode().splitlines()[1] not in wrong.value.detail


@pytest.mark.parametrize(
    "forgotten", [{"secret": SECRET}, {"anonymous": {}}, {"grants": []}, {"cookie": "c"}]
)
def test_a_forgotten_mode_ends_the_start_instead_of_letting_everybody_in(forgotten: dict[str, Any]) -> None:
    (name,) = forgotten
    with pytest.raises(ConfigError, match=f"auth.mode must be set where auth.{name} is"):
        check_mode(AuthSettings.model_validate(forgotten))


@pytest.mark.parametrize("said", [{}, {"mode": "none"}, {"mode": "none", "secret": SECRET}, {"mode": "jwt"}])
def test_a_mode_that_was_chosen_is_taken_as_it_is(said: dict[str, Any]) -> None:
    check_mode(AuthSettings.model_validate(said))
