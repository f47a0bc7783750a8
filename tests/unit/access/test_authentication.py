"""Of what a request presents, the caller that it makes (RFC 6750)."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.access.authentication import Authentication, Presented
from gateway.access.principal import Principal
from gateway.core.access_errors import InvalidToken, SeveralTokens, TokenRequired
from gateway.core.credentials import Credentials

GOOD = "header.payload.signature"
KEY = "tgk_0123456789"
ANONYMOUS = Principal(publish=frozenset({"menu"}))


class OneToken:
    """Knows one token, whose subject is `ann`."""

    async def claims(self, token: str) -> Mapping[str, Any]:
        return self.claims_at_once(token)

    def claims_at_once(self, token: str) -> Mapping[str, Any]:
        if token != GOOD:
            raise InvalidToken("The token is not the one.")
        return {"sub": "ann"}


class OneKey:
    """Knows one static key, that of `billing`."""

    def find(self, key: str) -> str | None:
        return "billing" if key == KEY else None


class NamedRights:
    """Callers of whom only their names are known."""

    def __init__(self, anonymous: Principal | None = None) -> None:
        self.anonymous = anonymous

    def of_token(self, claims: Mapping[str, Any]) -> Principal:
        return Principal(Credentials(subject=claims["sub"]))

    def of_key(self, name: str) -> Principal:
        return Principal(Credentials(key=name))


STRICT = Authentication(OneToken(), OneKey(), NamedRights())
OPEN_TO_ALL = Authentication(OneToken(), OneKey(), NamedRights(ANONYMOUS))


async def subject(presented: Presented) -> str | None:
    return (await STRICT.caller(presented)).credentials.subject


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_a_token_is_sent_as_bearer_however_that_is_written(scheme: str) -> None:
    assert await subject(Presented([f"{scheme} {GOOD}"])) == "ann"


async def test_a_token_may_be_in_the_query_where_that_counts() -> None:
    assert await subject(Presented(parameters=[GOOD])) == "ann"


async def test_a_token_may_be_in_the_cookie() -> None:
    assert await subject(Presented(cookies=[GOOD])) == "ann"


async def test_a_static_key_is_sent_as_bearer() -> None:
    caller = await STRICT.caller(Presented([f"Bearer {KEY}"]))
    assert caller.credentials.key == "billing"


@pytest.mark.parametrize("presented", [Presented(parameters=[KEY]), Presented(cookies=[KEY])])
async def test_a_static_key_is_none_anywhere_else(presented: Presented) -> None:
    with pytest.raises(InvalidToken):
        await STRICT.caller(presented)


@pytest.mark.parametrize("key", ["tgk_", "tgk_0123456788", "tgk_\udcff"])
async def test_an_unknown_key_is_no_valid_one(key: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        await OPEN_TO_ALL.caller(Presented([f"Bearer {key}"]))
    assert refused.value.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", ')


@pytest.mark.parametrize("presented", [Presented(), Presented(cookies=[""]), Presented(["Basic YTpi"])])
async def test_without_a_token_nobody_is_let_in(presented: Presented) -> None:
    with pytest.raises(TokenRequired) as refused:
        await STRICT.caller(presented)
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("presented", [Presented(), Presented(cookies=[""]), Presented(["Basic YTpi"])])
async def test_without_a_token_whoever_may_come_without_is_anonymous(presented: Presented) -> None:
    assert await OPEN_TO_ALL.caller(presented) is ANONYMOUS


@pytest.mark.parametrize(
    "presented",
    [
        Presented(["Bearer"]),
        Presented(["Bearer "]),
        Presented(["Bearer nothing"]),
        Presented([f"Bearer {GOOD} {GOOD}"]),
        Presented([f"Bearer {GOOD}, Bearer {GOOD}"]),
        Presented(["Bearer \udcff"]),
        Presented(["Bearer \u00fc"]),
        Presented(parameters=[""]),
        Presented(parameters=["nothing"]),
        Presented(cookies=["nothing"]),
        Presented(cookies=["\udcff"]),
    ],
)
async def test_a_token_that_is_not_valid_is_refused_also_where_anybody_may_come(presented: Presented) -> None:
    with pytest.raises(InvalidToken) as refused:
        await OPEN_TO_ALL.caller(presented)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "presented",
    [
        Presented([f"Bearer {GOOD}"], parameters=[GOOD]),
        Presented([f"Bearer {GOOD}", f"Bearer {GOOD}"]),
        Presented(["Basic YTpi", f"Bearer {GOOD}"]),
        Presented(parameters=[GOOD, GOOD]),
        Presented(cookies=[GOOD, "other"]),
    ],
)
async def test_of_several_tokens_none_counts(presented: Presented) -> None:
    with pytest.raises(SeveralTokens) as refused:
        await OPEN_TO_ALL.caller(presented)
    assert refused.value.status == 400
    assert refused.value.headers["WWW-Authenticate"].startswith('Bearer error="invalid_request", ')


@pytest.mark.parametrize("presented", [Presented([f"Bearer {GOOD}"]), Presented(parameters=[GOOD])])
async def test_what_is_sent_on_purpose_counts_before_the_cookie_that_comes_by_itself(
    presented: Presented,
) -> None:
    assert await subject(presented._replace(cookies=["another's"])) == "ann"


async def test_one_cookie_that_comes_twice_is_one() -> None:
    assert await subject(Presented(cookies=[GOOD, "", GOOD])) == "ann"


async def test_a_cookie_that_does_not_count_is_no_token_and_makes_nobody_anonymous() -> None:
    presented = Presented(cookies=[GOOD], cookie_counts=False)
    for authentication in (STRICT, OPEN_TO_ALL):
        with pytest.raises(TokenRequired, match="Origin"):
            await authentication.caller(presented)


async def test_where_a_cookie_does_not_count_what_is_sent_on_purpose_does() -> None:
    assert await subject(Presented([f"Bearer {GOOD}"], cookies=[GOOD], cookie_counts=False)) == "ann"


@pytest.mark.parametrize("token", ["tgk_secret", "secret.secret.secret"])
async def test_no_refusal_repeats_what_was_sent(token: str) -> None:
    for presented in (Presented([f"Bearer {token}"]), Presented([f"Bearer {token}"], [token])):
        with pytest.raises(InvalidToken) as refused:
            await STRICT.caller(presented)
        assert "secret" not in repr(refused.value.problem()) + repr(refused.value.headers)
