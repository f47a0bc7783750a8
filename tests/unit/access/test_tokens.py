"""gateway/access/tokens.py: which tokens are valid, and what they say."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.access.token_keys import KeySet, TokenKey, keys_of_jwks, keys_of_pem, keys_of_secret
from gateway.access.tokens import Expected, FixedKeys, TokenVerifier
from gateway.core.access_errors import InvalidToken, KeysUnavailable
from tests.support.clock import ManualClock
from tests.support.issuer import PUBLIC, jwk, private_key, public_pem, signed

SECRET = "a secret of which nobody can guess a part"
NOW = 1_000_000.0
LEEWAY = 30.0
LENIENT = Expected(leeway_seconds=LEEWAY)
CLAIMS = {"sub": "user-1", "exp": NOW + 60}


class Wall(ManualClock):
    """A clock on the wall that stands still."""

    def __init__(self) -> None:
        super().__init__(wall_ms=int(NOW * 1000))

    def seconds(self) -> float:
        return self.wall_ms() / 1000


class ChangingKeys:
    """Keys that a test changes; counts who asked for them."""

    def __init__(self, keys: KeySet | None) -> None:
        self.revision = 0
        self.asked = 0
        self._keys = keys

    def change(self, keys: KeySet) -> None:
        self._keys = keys
        self.revision += 1

    def known(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        return ()

    async def fitting(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        self.asked += 1
        if self._keys is None:
            raise KeysUnavailable(10.0)
        return self._keys.fitting(algorithm, kid)


def token(claims: Mapping[str, Any], *, algorithm: str = "HS256", key: Any = SECRET, **header: Any) -> str:
    return signed({"alg": algorithm} | header, claims, algorithm, key)


def verifier(keys: KeySet | None = None, expected: Expected = LENIENT) -> TokenVerifier:
    return TokenVerifier(FixedKeys(keys or keys_of_secret(SECRET)), expected, Wall().seconds)


async def problem(text: str, of: TokenVerifier | None = None) -> str:
    with pytest.raises(InvalidToken) as failure:
        await (of or verifier()).claims(text)
    return failure.value.detail


async def test_a_valid_token_says_what_it_holds() -> None:
    claims = CLAIMS | {"jti": "t-1", "tidegate": {"subscribe": ["order"]}, "n": 7, "x": None}
    assert await verifier().claims(token(claims)) == claims


async def test_what_a_token_says_can_t_be_changed() -> None:
    claims = await verifier().claims(token(CLAIMS))
    with pytest.raises(TypeError):
        claims["sub"] = "user-2"  # type: ignore[index]


@pytest.mark.parametrize("algorithm", PUBLIC)
async def test_a_token_is_checked_with_a_public_key(algorithm: str) -> None:
    keys = keys_of_pem(public_pem(private_key(algorithm)))
    text = token(CLAIMS, algorithm=algorithm, key=private_key(algorithm))
    assert await verifier(keys).claims(text) == CLAIMS
    forged = token(CLAIMS, algorithm=algorithm, key=private_key(algorithm, "other"))
    assert "signature" in await problem(forged, verifier(keys))


@pytest.mark.parametrize("algorithm", PUBLIC)
async def test_a_mixed_key_set_takes_no_mac_for_a_signature(algorithm: str) -> None:
    oct_key = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "a"}
    keys = keys_of_jwks({"keys": [oct_key, jwk(algorithm, kid="a")]})
    mac = token(CLAIMS, key="secret-secret-secret-secret-secret", kid="a")
    assert "signature" in await problem(mac, verifier(keys))


async def test_of_duplicate_kids_each_is_tried() -> None:
    keys = keys_of_jwks({"keys": [jwk("RS256", "1", kid="a"), jwk("RS256", "2", kid="a")]})
    for name in ("1", "2"):
        text = token(CLAIMS, algorithm="RS256", key=private_key("RS256", name), kid="a")
        assert await verifier(keys).claims(text) == CLAIMS


async def test_a_token_that_names_another_key_than_its_own_is_refused() -> None:
    keys = keys_of_jwks({"keys": [jwk("RS256", "1", kid="a"), jwk("RS256", "2", kid="b")]})
    text = token(CLAIMS, algorithm="RS256", key=private_key("RS256", "1"), kid="b")
    assert "signature" in await problem(text, verifier(keys))


async def test_a_token_without_a_kid_is_tried_with_every_key_that_fits() -> None:
    keys = keys_of_jwks({"keys": [jwk("ES256", kid="a"), jwk("RS256", "1", kid="b"), jwk("RS256", "2")]})
    text = token(CLAIMS, algorithm="RS256", key=private_key("RS256", "2"))
    assert await verifier(keys).claims(text) == CLAIMS


async def test_a_refusal_tells_nothing_of_the_keys() -> None:
    keys = keys_of_jwks({"keys": [jwk("RS256", "1", kid="a")]})
    key = private_key("RS256", "2")
    said = {
        await problem(token(CLAIMS, algorithm="RS256", key=key, kid="a"), verifier(keys)),
        await problem(token(CLAIMS, algorithm="RS256", key=key, kid="b"), verifier(keys)),
        await problem(token(CLAIMS), verifier(keys)),
    }
    assert len(said) == 1


@pytest.mark.parametrize("exp", [NOW + 0.001, NOW + 1e9, int(NOW) + 1])
async def test_a_token_is_valid_until_it_expires(exp: float) -> None:
    assert (await verifier().claims(token({"exp": exp})))["exp"] == exp


@pytest.mark.parametrize("exp", [NOW, NOW - 0.001, NOW - LEEWAY / 2, 0, -1, -1e300])
async def test_an_expired_token_is_refused_whatever_the_leeway(exp: float) -> None:
    assert await problem(token({"exp": exp})) == "The token has expired."


async def test_a_token_that_never_expires_is_refused() -> None:
    assert await problem(token({"sub": "user-1"})) == "The token does not say when it expires (exp)."


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [None, True, "1000060", [1000060], {}, "2026-11-20T10:30:00Z"])
async def test_a_time_that_is_no_number_is_refused(name: str, value: object) -> None:
    assert await problem(token(CLAIMS | {name: value})) == f"The token's {name} is no number of seconds."


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_time_that_is_no_finite_number_is_refused(name: str, value: str) -> None:
    payload = f'{{"sub": "user-1", "{name}": {value}}}'
    assert "JSON" in await problem(signed({"alg": "HS256"}, payload, "HS256", SECRET))


@pytest.mark.parametrize("name", ["nbf", "iat"])
async def test_a_token_is_not_valid_before_its_time_but_for_the_leeway(name: str) -> None:
    for early in (0.0, LEEWAY):
        await verifier().claims(token(CLAIMS | {name: NOW + early}))
    assert await problem(token(CLAIMS | {name: NOW + LEEWAY + 1})) == f"The token is not valid yet ({name})."


async def test_without_leeway_times_count_as_they_are() -> None:
    strict = verifier(expected=Expected(leeway_seconds=0.0))
    await strict.claims(token(CLAIMS | {"nbf": NOW}))
    assert "nbf" in await problem(token(CLAIMS | {"nbf": NOW + 1}), strict)


@pytest.mark.parametrize("name", ["sub", "jti"])
@pytest.mark.parametrize("value", [None, 7, True, ["user-1"], {"a": 1}, "", "a\nb", "a\0", "\x85", "x" * 257])
async def test_who_a_token_is_of_is_text(name: str, value: object) -> None:
    assert f"The token's {name} is not text" in await problem(token(CLAIMS | {name: value}))


@pytest.mark.parametrize("name", ["sub", "jti"])
@pytest.mark.parametrize("value", ["x" * 256, "auth0|ü 7", "null", "*"])
async def test_any_other_text_is_taken_as_it_is(name: str, value: str) -> None:
    assert (await verifier().claims(token(CLAIMS | {name: value})))[name] == value


async def test_a_token_may_be_of_nobody() -> None:
    assert await verifier().claims(token({"exp": NOW + 60})) == {"exp": NOW + 60}


@pytest.mark.parametrize("audience", ["shop", ["shop"], ["other", "shop"], ["shop", 7]])
async def test_a_token_for_this_audience_is_taken(audience: object) -> None:
    of = verifier(expected=Expected(audience="shop"))
    assert (await of.claims(token(CLAIMS | {"aud": audience})))["aud"] == audience


@pytest.mark.parametrize(
    "audience",
    ["other", "Shop", "shop ", "shopping", "", [], ["other"], [["shop"]], {"shop": 1}, None, 7, True],
)
async def test_a_token_for_another_audience_is_refused(audience: object) -> None:
    of = verifier(expected=Expected(audience="shop"))
    assert "audience" in await problem(token(CLAIMS | {"aud": audience}), of)


@pytest.mark.parametrize(
    "issuer", ["https://idp.example", "HTTPS://idp.example/", "", None, 7, ["https://idp.example/"]]
)
async def test_a_token_of_another_issuer_is_refused(issuer: object) -> None:
    of = verifier(expected=Expected(issuer="https://idp.example/"))
    await of.claims(token(CLAIMS | {"iss": "https://idp.example/"}))
    assert "issuer" in await problem(token(CLAIMS | {"iss": issuer}), of)


async def test_audience_and_issuer_have_to_be_there_where_they_are_expected() -> None:
    assert "aud" in await problem(token(CLAIMS), verifier(expected=Expected(audience="shop")))
    assert "iss" in await problem(token(CLAIMS), verifier(expected=Expected(issuer="idp")))


async def test_where_neither_is_expected_neither_is_looked_at() -> None:
    await verifier().claims(token(CLAIMS | {"aud": 7, "iss": ["x"]}))


async def test_keys_that_were_never_in_reach_are_no_fault_of_the_token() -> None:
    of = TokenVerifier(ChangingKeys(None), Expected(), Wall().seconds)
    with pytest.raises(KeysUnavailable) as failure:
        await of.claims(token(CLAIMS))
    assert failure.value.status == 503
    assert failure.value.headers == {"Retry-After": "10"}


async def test_what_is_no_token_is_refused_although_no_key_was_ever_in_reach() -> None:
    of = TokenVerifier(ChangingKeys(None), Expected(), Wall().seconds)
    assert "no JWT" in await problem("nonsense", of)


async def test_a_checked_token_is_not_checked_again() -> None:
    keys = ChangingKeys(keys_of_secret(SECRET))
    of = TokenVerifier(keys, Expected(), Wall().seconds)
    text = token(CLAIMS)
    assert await of.claims(text) is await of.claims(text)
    assert keys.asked == 1


async def test_a_checked_token_is_refused_once_it_has_expired() -> None:
    wall = Wall()
    of = TokenVerifier(FixedKeys(keys_of_secret(SECRET)), Expected(), wall.seconds)
    text = token(CLAIMS)
    await of.claims(text)
    wall.advance(59.999)
    await of.claims(text)
    wall.advance(0.001)
    assert await problem(text, of) == "The token has expired."


async def test_a_checked_token_is_refused_where_the_clock_was_set_back_before_it() -> None:
    wall = Wall()
    of = TokenVerifier(FixedKeys(keys_of_secret(SECRET)), Expected(leeway_seconds=LEEWAY), wall.seconds)
    text = token(CLAIMS | {"iat": NOW})
    await of.claims(text)
    wall.set_wall_ms(int((NOW - LEEWAY - 1) * 1000))
    assert "iat" in await problem(text, of)


async def test_a_checked_token_is_refused_once_its_key_is_gone() -> None:
    keys = ChangingKeys(keys_of_jwks({"keys": [jwk("ES256", "1", kid="a"), jwk("ES256", "2", kid="b")]}))
    of = TokenVerifier(keys, Expected(), Wall().seconds)
    texts = [
        token(CLAIMS, algorithm="ES256", key=private_key("ES256", name), kid=kid)
        for name, kid in (("1", "a"), ("2", "b"))
    ]
    for text in texts:
        await of.claims(text)
    keys.change(keys_of_jwks({"keys": [jwk("ES256", "2", kid="b")]}))
    assert "signature" in await problem(texts[0], of)
    assert await of.claims(texts[1]) == CLAIMS


async def test_a_key_of_the_same_name_is_not_the_same_key() -> None:
    keys = ChangingKeys(keys_of_jwks({"keys": [jwk("ES256", "1", kid="a")]}))
    of = TokenVerifier(keys, Expected(), Wall().seconds)
    text = token(CLAIMS, algorithm="ES256", key=private_key("ES256", "1"), kid="a")
    await of.claims(text)
    keys.change(keys_of_jwks({"keys": [jwk("ES256", "2", kid="a")]}))
    assert "signature" in await problem(text, of)


async def test_a_checked_token_says_nothing_for_another_with_the_same_claims() -> None:
    of = verifier()
    text = token(CLAIMS)
    await of.claims(text)
    head, body, signature = text.split(".")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    assert "signature" in await problem(f"{head}.{body}.{flipped}", of)


async def test_a_refused_token_is_not_remembered() -> None:
    keys = ChangingKeys(keys_of_secret(SECRET))
    of = TokenVerifier(keys, Expected(audience="shop"), Wall().seconds)
    for _ in range(2):
        assert "audience" in await problem(token(CLAIMS), of)
    assert keys.asked == 2


async def test_as_many_tokens_are_remembered_as_fit() -> None:
    keys = ChangingKeys(keys_of_secret(SECRET))
    texts = [token(CLAIMS | {"sub": f"user-{n}"}) for n in range(4)]
    of = TokenVerifier(keys, Expected(), Wall().seconds, cached_bytes=3 * len(texts[0]))
    for text in (*texts[:3], texts[0], texts[3], texts[0]):
        await of.claims(text)
    # The least recently used one had to go, and the first is still there.
    assert keys.asked == 4
    await of.claims(texts[1])
    assert keys.asked == 5


async def test_a_token_that_does_not_fit_at_all_is_valid_too() -> None:
    of = TokenVerifier(FixedKeys(keys_of_secret(SECRET)), Expected(), Wall().seconds, cached_bytes=1)
    assert await of.claims(token(CLAIMS)) == CLAIMS
