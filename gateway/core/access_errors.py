"""Why a caller is not let in, or may not do what it asks for (RFC 6750), and what of that can't be told.

The tree that they belong to is gateway/core/errors.py.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from gateway.core.errors import ClientError, Forbidden, TidegateError

_UNTELLABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class TokenRequired(ClientError):
    """The request has no token, and nobody may do without (RFC 9110, section 15.5.2)."""

    status = 401
    slug = "token-required"
    title = "Token required"

    def __init__(self, detail: str) -> None:
        # Of a request without credentials nothing is wrong yet: no error code (RFC 6750, section 3.1).
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class InvalidToken(ClientError):
    """The token that the caller sent is no valid one, or was sent in a way that does not count.

    `detail` says what is wrong with it and nothing about keys; `error` is the code that the answer's
    WWW-Authenticate has (RFC 6750, section 3.1).
    """

    status = 401
    slug = "invalid-token"
    title = "Invalid token"

    def __init__(
        self, detail: str, *, error: Literal["invalid_token", "invalid_request"] = "invalid_token"
    ) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": _challenge(error, detail)})
        self.error = error


class SeveralTokens(InvalidToken):
    """The request has more than one token, so that nobody knows whose it is (RFC 6750, section 2)."""

    status = 400
    slug = "several-tokens"
    title = "Several tokens"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, error="invalid_request")


class InsufficientScope(Forbidden):
    """The caller is known, and its grants are not enough (RFC 6750, section 3.1)."""

    slug = "insufficient-scope"
    title = "Not granted"

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, str]] = ()) -> None:
        told = {"WWW-Authenticate": _challenge("insufficient_scope", detail)}
        super().__init__(detail, errors=errors, headers=told)


class KeysUnavailable(TidegateError):
    """The keys that tokens are checked with were never in reach: no token can be told from a forged one."""

    status = 503
    slug = "keys-unavailable"
    title = "Tokens can't be checked"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(
            "The token can't be checked yet, because its issuer's keys are out of reach. Try again later.",
            headers={"Retry-After": str(max(1, math.ceil(wait_seconds)))},
        )


class RevocationsUnknown(TidegateError):
    """Which tokens were revoked is not known: nobody with a token is let in."""

    status = 503
    slug = "revocations-unknown"
    title = "Revocations are not known"


class RevocationUncertain(TidegateError):
    """The revocation is in the log, and holds; it could not be kept for when the log drops it."""

    status = 503
    slug = "revocation-uncertain"
    title = "The revocation holds, and is not kept"


class TooManyRevocations(ClientError):
    """So many tokens and keys are revoked that there is no room for one more."""

    status = 409
    slug = "too-many-revocations"
    title = "Too many revocations"


def _challenge(code: str, detail: str) -> str:
    """The field WWW-Authenticate for a token that is not enough (RFC 6750, section 3)."""
    # Of an error_description fewer characters may be part than of a detail.
    told = _UNTELLABLE.sub("'", detail)
    return f'Bearer error="{code}", error_description="{told}"'
