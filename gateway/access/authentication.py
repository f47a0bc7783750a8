"""Whose request it is: of what a request presents, the caller that it makes (docs/protocol.md, section 9)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from gateway.access import static_keys
from gateway.access.principal import Principal
from gateway.core.access_errors import InvalidToken, SeveralTokens, TokenRequired

# RFC 9110, section 11.1: schemes have no case, and one space at least stands behind them.
_BEARER = re.compile(r"bearer(?: +(?P<token>.*))?\Z", re.IGNORECASE)


class Tokens(Protocol):
    """What checks a token."""

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that is valid now. Raises InvalidToken, and KeysUnavailable."""
        ...

    def claims_at_once(self, token: str) -> Mapping[str, Any] | None:
        """The same without waiting; None where a key has to be fetched. Raises InvalidToken."""
        ...


class Keys(Protocol):
    """What knows the static keys."""

    def find(self, key: str) -> str | None:
        """The name of a static key; None where it is none. It takes the same time for any."""
        ...


class CallerRights(Protocol):
    """What callers may do."""

    @property
    def anonymous(self) -> Principal | None:
        """Whoever presents nothing; None where that is not let in."""
        ...

    def of_token(self, claims: Mapping[str, Any]) -> Principal:
        """The caller with these claims."""
        ...

    def of_key(self, name: str) -> Principal:
        """The caller with the static key of that name."""
        ...


class Presented(NamedTuple):
    """What a request says of who sends it: all that could be a token, as it came.

    `authorization` are the lines of that field, `parameters` the values of `access_token` in the query, and
    `cookies` those of the cookie that may hold a token; each is empty where it does not count here at all.
    `cookie_counts` says whether the browser's user may be taken to mean this very request: a page of any site
    can make a browser send one, with its cookies.
    """

    authorization: Sequence[str] = ()
    parameters: Sequence[str] = ()
    cookies: Sequence[str] = ()
    cookie_counts: bool = True


class Authentication:
    """Makes callers of what requests present. No I/O but that of `tokens`."""

    def __init__(self, tokens: Tokens, keys: Keys, rights: CallerRights) -> None:
        self._tokens = tokens
        self._keys = keys
        self._rights = rights

    async def caller(self, presented: Presented) -> Principal:
        """The caller of a request that presents this.

        What is sent on purpose counts before a cookie, which browsers send by themselves. A token that is
        there and not valid is refused, whoever may come without one. Raises TokenRequired, SeveralTokens,
        InvalidToken and KeysUnavailable.
        """
        found = self._found(presented)
        return (
            found if isinstance(found, Principal) else self._rights.of_token(await self._tokens.claims(found))
        )

    def caller_at_once(self, presented: Presented) -> Principal | None:
        """The same without waiting; None where a key has to be fetched for its token."""
        found = self._found(presented)
        if isinstance(found, Principal):
            return found
        claims = self._tokens.claims_at_once(found)
        return None if claims is None else self._rights.of_token(claims)

    def _found(self, presented: Presented) -> Principal | str:
        """The caller, or the token that says who it is."""
        bearer = _bearer(presented.authorization)
        if bearer is not None and presented.parameters:
            raise SeveralTokens("Send the token in Authorization or as access_token, not in both.")
        if bearer is not None:
            return self._of_bearer(bearer)
        if presented.parameters:
            return _token(_only(presented.parameters, "access_token"))
        # An empty cookie is one that was taken away, and browsers send one for each path that it is set for.
        cookies = {*filter(None, presented.cookies)}
        if not cookies:
            return self._of_nobody()
        token = _only([*cookies], "the cookie that holds the token")
        if not presented.cookie_counts:
            raise TokenRequired(
                "A cookie counts as credentials of a write only where Origin is the gateway's own or one of "
                "cors.origins: send the token in Authorization."
            )
        return _token(token)

    def _of_bearer(self, text: str) -> Principal | str:
        if not text.startswith(static_keys.PREFIX):
            return _token(text)
        name = self._keys.find(text) if text.isascii() else None
        if name is None:
            raise InvalidToken("The key is not one of this gateway's.")
        return self._rights.of_key(name)

    def _of_nobody(self) -> Principal:
        anonymous = self._rights.anonymous
        if anonymous is None:
            raise TokenRequired("Send a token: Authorization: Bearer with the token that your issuer gave.")
        return anonymous


def _token(text: str) -> str:
    """A token that may be one. Raises InvalidToken."""
    # What a field has beyond ASCII may be bytes that are no text at all.
    if not text.isascii():
        raise InvalidToken("The token has characters that none has.")
    return text


def _bearer(lines: Sequence[str]) -> str | None:
    """The token in Authorization; None where there is none, or one of another scheme.

    Credentials of another scheme are not for the gateway: they may be an upstream's, or a proxy's.
    """
    found = [match for line in lines if (match := _BEARER.match(line)) is not None]
    if not found:
        return None
    _only(lines, "Authorization")
    return found[0]["token"] or ""


def _only(values: Sequence[str], what: str) -> str:
    """The value of which there is one. Raises SeveralTokens."""
    if len(values) > 1:
        raise SeveralTokens(f"Send {what} once: of several tokens nobody knows which one counts.")
    return values[0]
