"""gateway/access/token_keys.py: which keys count, and for which algorithm."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, SECP384R1
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.access.token_keys import KeySet, keys_of_jwks, keys_of_pem, keys_of_secret
from tests.support.issuer import (
    PUBLIC,
    b64,
    ec_key,
    jwk,
    private_key,
    private_pem,
    public_pem,
    rsa_key,
)

SECRET = "a secret of which nobody can guess a part"
OCT = {"kty": "oct", "k": b64(SECRET), "alg": "HS256", "use": "sig"}


def algorithms(keys: KeySet) -> list[str]:
    return [key.algorithm for key in keys.keys]


def of_jwks(*entries: object) -> list[str]:
    return algorithms(keys_of_jwks({"keys": list(entries)}))


def test_a_secret_is_a_key_of_hs256_alone() -> None:
    keys = keys_of_secret(SECRET)
    assert algorithms(keys) == ["HS256"]
    assert SECRET not in repr(keys)


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_public_key_in_pem_is_one_of_the_algorithm_of_its_type(algorithm: str) -> None:
    assert algorithms(keys_of_pem(public_pem(private_key(algorithm)))) == [algorithm]


@pytest.mark.parametrize(
    "secret",
    [
        public_pem(private_key("RS256")).decode(),
        '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}',
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG",
    ],
)
def test_a_public_key_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="must be a secret"):
        keys_of_secret(secret)


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_private_key_in_the_gateway_s_file_is_refused(algorithm: str) -> None:
    with pytest.raises(ValueError, match="holds a private one"):
        keys_of_pem(private_pem(private_key(algorithm)))


def test_a_private_key_behind_a_public_one_is_refused_too() -> None:
    key = private_key("RS256")
    with pytest.raises(ValueError, match="holds a private one"):
        keys_of_pem(public_pem(key) + private_pem(key))


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (b"", "public key in PEM"),
        (b"\xff\xfe", "public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public key in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a certificate"),
        (public_pem(private_key("ES256")) * 2, "holds several"),
        (public_pem(rsa_key(1024)), "2048 bits at least, and has 1024"),
        (public_pem(ec_key(SECP384R1())), "P-256"),
        (public_pem(ec_key(SECP256K1())), "P-256"),
        (public_pem(Ed448PrivateKey.generate()), "Ed25519"),
        (public_pem(X25519PrivateKey.generate()), "Ed25519"),
    ],
)
def test_what_is_no_public_key_that_counts_is_refused_with_a_reason(pem: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        keys_of_pem(pem)


def test_the_keys_of_a_jwks_are_each_of_one_algorithm() -> None:
    assert of_jwks(*(jwk(algorithm) for algorithm in PUBLIC)) == PUBLIC


def test_a_shared_secret_in_a_jwks_never_counts() -> None:
    assert of_jwks(OCT, jwk("ES256")) == ["ES256"]


@pytest.mark.parametrize("use", ["enc", "SIG", "", 7, ["sig"]])
def test_a_key_for_something_else_than_signatures_does_not_count(use: object) -> None:
    assert of_jwks(jwk("RS256", use=use)) == []


@pytest.mark.parametrize("operations", [[], ["sign"], ["encrypt"], "verify", {"verify": True}, 7])
def test_a_key_that_may_not_verify_does_not_count(operations: object) -> None:
    assert of_jwks(jwk("RS256", key_ops=operations)) == []


def test_a_key_that_may_verify_counts() -> None:
    assert of_jwks(jwk("RS256", use="sig", key_ops=["sign", "verify"], alg="RS256")) == ["RS256"]


@pytest.mark.parametrize("algorithm", ["HS256", "RS512", "PS256", "ES256", "EdDSA", "none", "", 7, [], {}])
def test_a_key_with_another_algorithm_than_its_type_s_does_not_count(algorithm: object) -> None:
    assert of_jwks(jwk("RS256", alg=algorithm)) == []


@pytest.mark.parametrize("member", ["d", "p", "oth"])
def test_a_key_whose_private_part_is_told_does_not_count(member: str) -> None:
    assert of_jwks(jwk("RS256", **{member: "AQAB"})) == []


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        "key",
        [],
        {},
        {"kty": "RSA"},
        {"kty": ["RSA"], "n": "AQAB", "e": "AQAB"},
        {"kty": {}, "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "RSA", "n": None, "e": "AQAB"},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": "RSA", "n": "ü", "e": "AQAB"},
        {"kty": "RSA", "n": "A", "e": "A"},
        {"kty": "EC", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": b64(b"x" * 32)},
        {"kty": "OKP", "crv": "Ed448", "x": b64(b"x" * 57)},
        {"kty": "rsa", "n": "AQAB", "e": "AQAB"},
        jwk("RS256", kid=7),
        jwk("RS256", kid=["a"]),
        jwk("ES256", crv="P-384"),
        jwk("ES256", x=b64(b"x" * 32)),
        jwk("RS256", n=b64((1 << 1023 | 1).to_bytes(128, "big"))),
    ],
)
def test_what_is_no_key_is_left_out_and_no_other_for_its_sake(entry: object) -> None:
    assert of_jwks(entry, jwk("EdDSA"), entry) == ["EdDSA"]


@pytest.mark.parametrize("document", [None, [], "keys", 7, {}, {"keys": None}, {"keys": {}}, {"keys": "a"}])
def test_a_document_without_a_list_of_keys_is_no_jwks(document: object) -> None:
    with pytest.raises(ValueError, match="list of keys"):
        keys_of_jwks(document)


def test_a_jwks_without_keys_is_one() -> None:
    assert of_jwks() == []


def test_a_jwks_has_a_bound() -> None:
    assert len(of_jwks(*([None] * 99), jwk("EdDSA"))) == 1
    with pytest.raises(ValueError, match="over 100 keys"):
        keys_of_jwks({"keys": [None] * 101})


def test_a_kid_chooses_among_the_keys_that_fit_the_algorithm() -> None:
    keys = keys_of_jwks({"keys": [jwk("RS256", kid="a"), jwk("ES256", kid="a"), jwk("ES256", "2", kid="b")]})
    assert keys.fitting("ES256", "a") == (keys.keys[1],)
    assert keys.fitting("RS256", "b") == ()
    assert keys.fitting("HS256", "a") == ()


def test_a_token_that_names_no_key_may_be_of_any_that_fits() -> None:
    keys = keys_of_jwks({"keys": [jwk("RS256", kid="a"), jwk("ES256", kid="a"), jwk("ES256", "2", kid="b")]})
    assert keys.fitting("ES256", None) == keys.keys[1:]


def test_of_two_keys_with_one_name_both_are_given() -> None:
    keys = keys_of_jwks({"keys": [jwk("ES256", kid="a"), jwk("ES256", "2", kid="a")]})
    assert keys.fitting("ES256", "a") == keys.keys


def test_one_token_is_tried_with_so_many_keys_and_no_more() -> None:
    keys = keys_of_jwks({"keys": [jwk("EdDSA", kid="a")] * 20 + [jwk("EdDSA", "2", kid="b")]})
    assert keys.fitting("EdDSA", None) == keys.fitting("EdDSA", "a") == keys.keys[:16]
    assert keys.fitting("EdDSA", "b") == keys.keys[20:]


def test_a_token_may_name_the_key_of_a_file_as_it_likes() -> None:
    keys = keys_of_pem(public_pem(private_key("ES256")))
    assert keys.fitting("ES256", "any") == keys.keys
    assert keys.fitting("RS256", "any") == ()


def test_sets_of_the_same_keys_are_equal() -> None:
    document = {"keys": [jwk(algorithm, kid=algorithm) for algorithm in PUBLIC]}
    assert keys_of_jwks(document) == keys_of_jwks(document)
    assert keys_of_jwks(document) != keys_of_jwks({"keys": document["keys"][1:]})
