"""gateway/access/jws.py: the form of a token, and whose signature is on it."""

import contextlib
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.jws import MAX_TOKEN_BYTES, json_object, parse_jws
from gateway.access.token_keys import ALGORITHMS, TokenKey, keys_of_pem, keys_of_secret
from gateway.core.access_errors import InvalidToken
from tests.support.issuer import PUBLIC, b64, private_key, public_pem, signed

SECRET = "a secret of which nobody can guess a part"
HEADER = {"alg": "HS256", "typ": "JWT"}
PAYLOAD = {"sub": "user-1"}
KEY = keys_of_secret(SECRET).keys[0]


def problem(text: str) -> str:
    with pytest.raises(InvalidToken) as failure:
        parse_jws(text)
    assert failure.value.status == 401
    assert failure.value.error == "invalid_token"
    return failure.value.detail


def with_header(**members: object) -> str:
    return signed(HEADER | members, PAYLOAD, "HS256", SECRET)


def public_key_of(algorithm: str) -> TokenKey:
    return keys_of_pem(public_pem(private_key(algorithm))).keys[0]


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_token_is_signed_with_its_issuer_s_key_and_with_no_other(algorithm: str) -> None:
    jws = parse_jws(signed({"alg": algorithm, "kid": "k"}, PAYLOAD, algorithm, private_key(algorithm)))
    assert (jws.algorithm, jws.kid, json.loads(jws.payload)) == (algorithm, "k", PAYLOAD)
    assert jws.is_signed_with(public_key_of(algorithm))
    other = keys_of_pem(public_pem(private_key(algorithm, "other"))).keys[0]
    assert not jws.is_signed_with(other)


def test_a_token_is_signed_with_a_secret() -> None:
    jws = parse_jws(signed(HEADER, PAYLOAD, "HS256", SECRET))
    assert jws.is_signed_with(KEY)
    assert not jws.is_signed_with(keys_of_secret(SECRET + "x").keys[0])


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_public_key_taken_for_a_secret_signs_nothing(algorithm: str) -> None:
    pem = public_pem(private_key(algorithm))
    mac = signed({"alg": "HS256"}, PAYLOAD, "HS256", SECRET)
    assert not parse_jws(mac).is_signed_with(public_key_of(algorithm))
    # As PyJWT won't take a PEM for a secret, this is the sender's own HMAC over it.
    signing_input = ".".join(b64(json.dumps(part)) for part in ({"alg": "HS256"}, PAYLOAD))
    forged = f"{signing_input}.{b64(hmac.digest(pem, signing_input.encode(), hashlib.sha256))}"
    assert not parse_jws(forged).is_signed_with(public_key_of(algorithm))


@pytest.mark.parametrize("claimed", sorted(ALGORITHMS - {"HS256"}))
def test_a_key_checks_by_its_own_algorithm_whatever_the_header_says(claimed: str) -> None:
    assert not parse_jws(signed({"alg": claimed}, PAYLOAD, "HS256", SECRET)).is_signed_with(KEY)


def test_a_signature_over_something_else_is_none() -> None:
    other = signed(HEADER, {"sub": "user-2"}, "HS256", SECRET).rpartition(".")[0]
    text = signed(HEADER, PAYLOAD, "HS256", SECRET, signature_of=other)
    assert not parse_jws(text).is_signed_with(KEY)


@pytest.mark.parametrize("length", [1, 63, 65, 128])
def test_a_signature_of_another_length_is_none(length: int) -> None:
    text = f"{b64(json.dumps({'alg': 'ES256'}))}.{b64(json.dumps(PAYLOAD))}.{b64(bytes(length))}"
    assert not parse_jws(text).is_signed_with(public_key_of("ES256"))


@pytest.mark.parametrize("r_and_s", [bytes(64), b"\xff" * 64, bytes(63) + b"\1"])
def test_an_ecdsa_signature_of_zeros_is_none(r_and_s: bytes) -> None:
    text = f"{b64(json.dumps({'alg': 'ES256'}))}.{b64(json.dumps(PAYLOAD))}.{b64(r_and_s)}"
    assert not parse_jws(text).is_signed_with(public_key_of("ES256"))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_a_token_of_alg_none_is_refused(algorithm: str) -> None:
    assert problem(with_header(alg=algorithm)) == "The token is not signed."


def test_a_token_without_a_signature_is_refused() -> None:
    text = signed({"alg": "none"}, PAYLOAD, "HS256", SECRET)
    assert problem(text.rpartition(".")[0] + ".") == "The token is not signed."


def test_an_encrypted_token_is_refused() -> None:
    assert "JWE" in problem(".".join([b64('{"alg": "RSA-OAEP", "enc": "A128GCM"}'), "a", "a", "a", "a"]))


def test_a_token_that_holds_another_is_refused() -> None:
    for cty in ("JWT", "jwt", "application/jwt"):
        assert "another token" in problem(with_header(cty=cty))
    inner = signed(HEADER, PAYLOAD, "HS256", SECRET)
    jws = parse_jws(signed(HEADER, inner, "HS256", SECRET))
    with pytest.raises(InvalidToken):
        json_object(jws.payload, "payload")


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, "exp", ["http://example.org/x"]])
def test_a_token_that_needs_an_extension_is_refused(crit: object) -> None:
    assert "crit" in problem(with_header(crit=crit, exp=1))


@pytest.mark.parametrize("b64_", [False, None, 0, "false", []])
def test_a_token_with_a_payload_out_of_base64_is_refused(b64_: object) -> None:
    assert "b64" in problem(with_header(b64=b64_))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", "JOSE", ""])
def test_an_access_token_is_one_by_its_type(typ: str) -> None:
    assert parse_jws(with_header(typ=typ)).is_signed_with(KEY)


@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "application/secevent+JWT"])
def test_a_token_for_another_purpose_is_refused(typ: str) -> None:
    assert problem(with_header(typ=typ)) == "The token is for another purpose (typ)."


@pytest.mark.parametrize("member", ["jwk", "jku", "x5c", "x5u"])
def test_a_key_that_a_token_brings_along_does_not_count(member: str) -> None:
    values = {
        "jwk": {"kty": "oct", "k": b64("x" * 32)},
        "jku": "http://127.0.0.1:1/jwks.json",
        "x5c": ["AAAA"],
        "x5u": "http://127.0.0.1:1/cert",
    }
    own = signed(HEADER | {member: values[member]}, PAYLOAD, "HS256", "x" * 32)
    assert not parse_jws(own).is_signed_with(KEY)
    assert parse_jws(with_header(**{member: values[member]})).is_signed_with(KEY)


@pytest.mark.parametrize("name", ["alg", "kid", "typ", "cty"])
@pytest.mark.parametrize("value", [7, None, True, ["HS256"], {"alg": "HS256"}])
def test_what_is_to_be_text_in_a_header_is_text(name: str, value: object) -> None:
    problem(with_header(**{name: value}))


def test_a_header_without_an_algorithm_is_refused() -> None:
    problem(signed({"typ": "JWT"}, PAYLOAD, "HS256", SECRET))


@pytest.mark.parametrize(
    "header",
    [
        '{"alg": "HS256", "alg": "none"}',
        '{"alg": "HS256", "kid": "a", "kid": "b"}',
        '{"alg": "HS256", "x": {"a": 1, "a": 2}}',
        '["HS256"]',
        '"HS256"',
        "null",
        "HS256",
        '{"alg": "HS256"',
        '{"alg": "HS256"} x',
        '{"alg": "HS256", "x": NaN}',
        '{"alg": "HS256", "x": 1e999}',
        '{"alg": "HS256", "kid": "\\ud800"}',
        b'{"alg": "HS256", "kid": "\xff"}',
        '{"alg": "HS256", "x": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"alg": "HS256", "x": ' + "9" * 5000 + "}",
    ],
    ids=lambda header: str(header)[:40],
)
def test_a_header_that_two_readers_could_read_two_ways_is_refused(header: str | bytes) -> None:
    said = problem(signed(header, PAYLOAD, "HS256", SECRET))
    assert said in (
        "The token's header is not JSON as it may be sent.",
        "The token's header is no JSON object.",
    )


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sub": "a", "sub": "b"}',
        b'{"tidegate": {"admin": false, "admin": true}}',
        b'{"sub": "\xed\xa0\x80"}',
        b'{"sub": "\\udc00"}',
        b'{"\\udc00": 1}',
        b'{"n": 18446744073709551616}',
        b'{"n": Infinity}',
        b'{"n": -1e400}',
        b"[]",
        b"1",
        b'"text"',
        b"",
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_payload_is_one_json_object_that_reads_one_way(payload: bytes) -> None:
    with pytest.raises(InvalidToken):
        json_object(payload, "payload")


def test_what_is_refused_is_not_repeated() -> None:
    for payload in (b'{"sub": "geheim", "sub": "geheim"}', b'{"sub": geheim}', b'["geheim"]'):
        with pytest.raises(InvalidToken) as failure:
            json_object(payload, "payload")
        assert "geheim" not in str(failure.value) + repr(failure.value.__cause__)


TOKEN = signed(HEADER, PAYLOAD, "HS256", SECRET)
HEAD, BODY, SIGNATURE = TOKEN.split(".")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        f"{HEAD}.{BODY}",
        f"{TOKEN}.",
        f".{TOKEN}",
        f"{TOKEN}=",
        f"{HEAD}=.{BODY}.{SIGNATURE}",
        f"{TOKEN}\n",
        f" {TOKEN}",
        f"{HEAD}. {BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{SIGNATURE}+/",
        f"{HEAD}..{SIGNATURE}",
        f"{HEAD}.{BODY}.ü",
        f"{HEAD}.{BODY}.\ud800",
        f"{HEAD}.{BODY}.{SIGNATURE}\0",
        f"Bearer {TOKEN}",
        json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    ],
)
def test_what_is_not_in_the_compact_form_is_refused(text: str) -> None:
    problem(text)


def test_a_token_has_one_spelling() -> None:
    # The last character of 32 bytes carries two bits that mean nothing.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(TOKEN[-1]) ^ 1]
    assert "base64url" in problem(TOKEN[:-1] + other)


def test_a_part_whose_length_no_base64_has_is_refused() -> None:
    assert "base64url" in problem(f"{HEAD}.{BODY}.AAAAA")


def test_a_huge_token_is_refused_before_it_is_read() -> None:
    room = MAX_TOKEN_BYTES - len(TOKEN)
    assert "16384 bytes" in problem(TOKEN + "A" * (room + 1))
    assert "16384 bytes" not in problem(TOKEN + "=" * room)


@given(st.text())
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidToken):
        parse_jws(text)


@given(st.lists(st.binary(min_size=1), min_size=3, max_size=3))
def test_any_parts_are_a_token_or_refused(parts: list[bytes]) -> None:
    try:
        jws = parse_jws(".".join(map(b64, parts)))
    except InvalidToken:
        return
    assert not jws.is_signed_with(KEY)


@given(st.binary(max_size=200), st.sampled_from(PUBLIC))
def test_any_bytes_are_no_signature(signature: bytes, algorithm: str) -> None:
    text = f"{b64(json.dumps({'alg': algorithm}))}.{BODY}.{b64(signature or b'x')}"
    assert not parse_jws(text).is_signed_with(public_key_of(algorithm))


@given(st.integers(0, len(TOKEN) - 1), st.characters(max_codepoint=0x7F))
def test_a_token_of_which_one_character_is_another_is_signed_by_nobody(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    try:
        is_signed = parse_jws(changed).is_signed_with(KEY)
    except InvalidToken:
        is_signed = False
    assert is_signed == (changed == TOKEN)
