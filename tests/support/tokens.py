"""Tokens as an issuer makes them (RFC 7519), for whoever needs a caller where `auth.mode` is "jwt"."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from gateway.access.static_keys import make_key

SECRET = "a secret that only these tests know"
"""What the tokens are signed with (HS256)."""
LIFETIME_SECONDS = 86_400.0
"""Longer than any run of the tests: many a token is minted when they are collected."""


def auth_settings(**members: Any) -> dict[str, Any]:
    """The section `[auth]` of a gateway that takes the tokens of `mint`; `members` are further ones."""
    return {"mode": "jwt", "secret": SECRET} | members


def mint(
    subject: str | None = "user-1",
    *,
    subscribe: Sequence[Any] = (),
    publish: Sequence[Any] = (),
    presence: Sequence[Any] = (),
    broadcast: Sequence[Any] = (),
    admin: bool = False,
    claims: Mapping[str, Any] | None = None,
    now: float | None = None,
    lifetime: float = LIFETIME_SECONDS,
    secret: str = SECRET,
    headers: Mapping[str, Any] | None = None,
) -> str:
    """A token of `subject` with these grants, issued `now` (seconds since 1970) for `lifetime` seconds.

    `claims` come last: they may replace any other, and one that is None is left out. So is a grant that is
    empty, and all of `tidegate` where it would be.
    """
    issued_at = time.time() if now is None else now
    grants = {
        "subscribe": [*subscribe],
        "publish": [*publish],
        "presence": [*presence],
        "broadcast": [*broadcast],
        "admin": admin,
    }
    members: dict[str, Any] = {
        "sub": subject,
        "iat": int(issued_at),
        "exp": int(issued_at + lifetime),
        "tidegate": {name: grant for name, grant in grants.items() if grant} or None,
        **(claims or {}),
    }
    payload = {name: value for name, value in members.items() if value is not None}
    return jwt.encode(payload, secret, algorithm="HS256", headers=dict(headers or {}))


def static_key(name: str, **rights: Any) -> tuple[str, dict[str, Any]]:
    """A new static key, and its table for `auth.keys` with these rights."""
    key, digest = make_key()
    return key, {"name": name, "sha256": digest} | rights


def bearer(token: str) -> tuple[str, str]:
    """The header field that presents a token or a static key (RFC 6750, section 2.1)."""
    return "Authorization", f"Bearer {token}"
