"""What becomes of files for TLS that can't be used."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from adapters.upstream.asking.tls import TlsContexts
from gateway.ports.legacy_route import UpstreamTls
from tests.support.authority import Authority
from tests.support.legacy import PATH, legacy_route


def error_of(**files: str | None) -> str:
    with pytest.raises(ValueError, match="_file") as raised:
        TlsContexts([legacy_route(tls=UpstreamTls(**files))])
    return str(raised.value)


def test_routes_that_say_the_same_share_a_context(tmp_path: Path) -> None:
    own = UpstreamTls(ca_file=Authority(tmp_path).ca_file)
    first, second, other = legacy_route(tls=own), legacy_route(tls=own), legacy_route()

    contexts = TlsContexts([first, second, other])

    assert contexts.of(first) is contexts.of(second)
    assert contexts.of(other) is True


@pytest.mark.parametrize("setting", ["ca_file", "cert_file"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, setting: str) -> None:
    missing = str(tmp_path / "missing.pem")

    assert error_of(**{setting: missing}).startswith(f"{PATH}: {setting}: {missing}")
    assert "No such file" in error_of(**{setting: missing})


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, content: str) -> None:
    odd = tmp_path / "odd.pem"
    odd.write_text(content)

    assert f"ca_file: {odd} can't be used: it must hold a certificate, in PEM" in error_of(ca_file=str(odd))
    assert f"cert_file: {odd} can't be used" in error_of(cert_file=str(odd))


def test_the_key_of_another_certificate_is_an_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.sign("one"), authority.sign("other")

    assert f"{one.cert_file} with the key {other.key_file}" in error_of(
        cert_file=one.cert_file, key_file=other.key_file
    )


def test_a_key_with_a_password_is_an_error_and_no_question_at_the_terminal(tmp_path: Path) -> None:
    signed = Authority(tmp_path).sign("one")
    key = generate_private_key(SECP256R1())
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )

    assert "without a password" in error_of(cert_file=signed.cert_file, key_file=str(locked))


def test_a_key_alone_is_an_error(tmp_path: Path) -> None:
    assert "needs cert_file" in error_of(key_file=Authority(tmp_path).sign("one").key_file)
