"""Whether a token is a valid one, and what it says (RFC 7519)."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from cachetools import LRUCache

from gateway.access.jws import Jws, json_object, parse_jws
from gateway.access.token_keys import KeySet, TokenKey
from gateway.core.access_errors import InvalidToken

CACHED_BYTES = 1024 * 1024
"""How many bytes of tokens are remembered as checked. What they say takes some times as much."""

_NOT_SIGNED_HERE = "The token's signature is none that counts here."
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,256}")
"""What a `sub` or `jti` may be: it is shown to operators, and named in revocations."""


class KeySource(Protocol):
    """Where the keys come from."""

    @property
    def revision(self) -> int:
        """Another one whenever a key was added or is no longer good."""
        ...

    def known(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """The keys that such a token may be signed with, as far as they are here."""
        ...

    async def fitting(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """The keys that such a token may be signed with; none where there are none.

        Does not wait where there are. Raises KeysUnavailable where no key was ever in reach.
        """
        ...


class FixedKeys:
    """The keys of a secret or a file, which do not change."""

    revision = 0

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def known(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        return self._keys.fitting(algorithm, kid)

    async def fitting(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        return self._keys.fitting(algorithm, kid)


class Expected(NamedTuple):
    """What a token has to say beside being signed; `leeway_seconds` is how far its issuer's clock may be off.

    None: `aud` or `iss` is not looked at.
    """

    audience: str | None = None
    issuer: str | None = None
    leeway_seconds: float = 30.0


class TokenVerifier:
    """Checks tokens with the keys of one issuer.

    `wall_seconds` gives seconds since 1970-01-01T00:00Z. A token that was checked is remembered by its
    SHA-256, whole, while the keys are the same ones: only its times are looked at again then.
    """

    def __init__(
        self,
        keys: KeySource,
        expected: Expected,
        wall_seconds: Callable[[], float],
        cached_bytes: int = CACHED_BYTES,
    ) -> None:
        self._keys = keys
        self._expected = expected
        self._wall_seconds = wall_seconds
        self._checked: LRUCache[bytes, tuple[Mapping[str, Any], int]] = LRUCache(
            cached_bytes, getsizeof=lambda entry: entry[1]
        )
        self._revision = keys.revision

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What a valid token says: `exp` is a number, `sub` and `jti` text where they are there.

        Raises InvalidToken, and KeysUnavailable where no key was ever in reach. Waits only where no key
        fits the token.
        """
        claims = self.claims_at_once(token)
        if claims is None:
            jws = parse_jws(token)
            claims = self._checked_claims(token, jws, await self._keys.fitting(jws.algorithm, jws.kid))
        return claims

    def claims_at_once(self, token: str) -> Mapping[str, Any] | None:
        """The same without waiting; None where no key that is here fits the token. Raises InvalidToken."""
        claims = self._remembered(_digest(token))
        if claims is not None:
            self._check_times(claims)
            return claims
        jws = parse_jws(token)
        keys = self._keys.known(jws.algorithm, jws.kid)
        return self._checked_claims(token, jws, keys) if keys else None

    def _checked_claims(self, token: str, jws: Jws, keys: Sequence[TokenKey]) -> Mapping[str, Any]:
        if not any(jws.is_signed_with(key) for key in keys):
            raise InvalidToken(_NOT_SIGNED_HERE)
        claims = MappingProxyType(json_object(jws.payload, "payload"))
        self._check_times(claims)
        _check_names(claims, self._expected)
        self._remember(_digest(token), claims, len(token))
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        _check_times(claims, self._wall_seconds(), self._expected.leeway_seconds)

    def _remembered(self, digest: bytes) -> Mapping[str, Any] | None:
        if self._revision != self._keys.revision:
            self._checked.clear()
            self._revision = self._keys.revision
        entry = self._checked.get(digest)
        return None if entry is None else entry[0]

    def _remember(self, digest: bytes, claims: Mapping[str, Any], size: int) -> None:
        if size <= self._checked.maxsize:
            self._checked[digest] = claims, size


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _check_times(claims: Mapping[str, Any], now: float, leeway_seconds: float) -> None:
    """RFC 7519, sections 4.1.4 to 4.1.6. Raises InvalidToken."""
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise InvalidToken("The token does not say when it expires (exp).")
    # Without leeway: the streams of its bearer end then.
    if now >= expires_at:
        raise InvalidToken("The token has expired.")
    for name in ("nbf", "iat"):
        begins_at = _time(claims, name)
        if begins_at is not None and begins_at > now + leeway_seconds:
            raise InvalidToken(f"The token is not valid yet ({name}).")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, section 2), None where it is absent."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidToken(f"The token's {name} is no number of seconds.")
    return value


def _check_names(claims: Mapping[str, Any], expected: Expected) -> None:
    """RFC 7519, sections 4.1.1 to 4.1.3 and 4.1.7. Raises InvalidToken."""
    for name in ("sub", "jti"):
        value = claims.get(name, "-")
        if not isinstance(value, str) or not _TEXT.fullmatch(value):
            raise InvalidToken(
                f"The token's {name} is not text of 1 to 256 characters without control characters."
            )
    if expected.issuer is not None and claims.get("iss") != expected.issuer:
        raise InvalidToken("The token is of another issuer (iss).")
    if expected.audience is not None:
        audience = claims.get("aud")
        # A text alone is a list of one.
        if expected.audience not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken("The token is for another audience (aud).")
