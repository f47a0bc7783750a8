"""What tells one caller from another once its token was checked: what revocations and limits go by."""

from typing import NamedTuple


class Credentials(NamedTuple):
    """Of a token its `sub`, `jti`, `iat` and `exp` (RFC 7519, section 4.1); of a static key its name.

    Times are seconds since 1970-01-01T00:00Z. All are None for an anonymous caller, and without
    authentication.
    """

    subject: str | None = None
    token_id: str | None = None
    key: str | None = None
    issued_at: float | None = None
    expires_at: float | None = None


NOBODY = Credentials()
"""Whoever needs no token."""
