"""`tidegate token` and `tidegate key`: a token for development, and a key for a program."""

import asyncio
import re
import secrets
from typing import Any, NamedTuple

import jwt
import orjson

from gateway.access.grant_parsing import MalformedGrant, parse_grant
from gateway.access.rights import CLAIM
from gateway.access.static_keys import make_key
from gateway.access.token_keys import OF_A_SECRET, keys_of_secret
from gateway.access.tokens import Expected, FixedKeys, TokenVerifier
from gateway.cli import WRONG_INPUT, CommandError
from gateway.core.access_errors import InvalidToken
from gateway.core.events import NAME_PATTERN
from gateway.core.grants import EVERY, GLOBAL
from gateway.service.settings import AuthSettings, Settings

_OWN = ("sub", "iat", "exp")
"""Claims that have options, or follow from them."""


class Wanted(NamedTuple):
    """What a token is to say. A grant that begins with `{` is JSON."""

    subject: str
    claims: str
    subscribe: tuple[str, ...]
    publish: tuple[str, ...]
    presence: tuple[str, ...]
    broadcast: tuple[str, ...]
    is_admin: bool
    expires_in_seconds: int


def mint(settings: Settings, wanted: Wanted, now: float) -> str:
    """A token that a gateway with these settings takes, issued at `now` (seconds since 1970).

    Raises CommandError where there is no secret to sign with, or the gateway would refuse the token.
    """
    secret = _secret(settings.auth)
    payload = _claims(settings.auth, wanted, int(now))
    token = jwt.PyJWS().encode(orjson.dumps(payload), secret, OF_A_SECRET, {"typ": "JWT"})
    expected = Expected(settings.auth.audience, settings.auth.issuer, settings.auth.leeway_seconds)
    verifier = TokenVerifier(FixedKeys(keys_of_secret(secret)), expected, lambda: now)
    try:
        asyncio.run(verifier.claims(token))
    except InvalidToken as error:
        raise CommandError(WRONG_INPUT, f"The gateway would refuse this token. {error.detail}") from None
    return token


def new_key(name: str) -> list[str]:
    """The lines that tell of a new key of that name. Raises CommandError where there can be none."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise CommandError(WRONG_INPUT, "NAME must be 1 to 64 of A-Z a-z 0-9 _ . -")
    key, digest = make_key()
    return [
        key,
        "",
        "# Into the configuration, with what the key is for: subscribe, publish, presence, broadcast,",
        "# admin, metrics.",
        "[[auth.keys]]",
        f'name = "{name}"',
        f'sha256 = "{digest}"',
    ]


def _secret(auth: AuthSettings) -> str:
    if auth.secret is None:
        other = next(iter(auth.key_sources), None)
        raise CommandError(
            WRONG_INPUT,
            "auth.secret is not set: a token for development is signed with it."
            if other is None
            else f"Tokens are checked with auth.{other}: their issuer has to make them.",
        )
    secret = auth.secret.get_secret_value()
    try:
        keys_of_secret(secret)
    except ValueError as error:
        raise CommandError(WRONG_INPUT, f"auth.secret {error}.") from None
    return secret


def _claims(auth: AuthSettings, wanted: Wanted, now: int) -> dict[str, Any]:
    given = _json(wanted.claims, "--claims")
    if not isinstance(given, dict):
        raise CommandError(WRONG_INPUT, "--claims must be a JSON object.")
    for name in _OWN:
        if name in given:
            raise CommandError(WRONG_INPUT, f"--claims must not have {name}: --sub and --expires-in say it.")
    grants = {
        "subscribe": [_grant(text) for text in wanted.subscribe],
        "publish": [_name(text, "--publish", f'an entity type, "{GLOBAL}"') for text in wanted.publish],
        "presence": [_name(text, "--presence", "a channel") for text in wanted.presence],
        "broadcast": [_name(text, "--broadcast", "a channel") for text in wanted.broadcast],
        "admin": wanted.is_admin,
    }
    grants = {name: value for name, value in grants.items() if value}
    if grants and "tidegate" in given:
        raise CommandError(
            WRONG_INPUT, "Give grants by options, or as tidegate in --claims, and not by both."
        )
    usual = {"aud": auth.audience, "iss": auth.issuer, "jti": secrets.token_urlsafe(12)}
    own = {"sub": wanted.subject, "iat": now, "exp": now + wanted.expires_in_seconds}
    return (
        {name: value for name, value in usual.items() if value is not None}
        | given
        | ({CLAIM: grants} if grants else {})
        | own
    )


def _grant(text: str) -> Any:
    grant = _json(text, "--subscribe") if text.startswith("{") else text
    try:
        parse_grant(grant)
    except MalformedGrant as error:
        # In a token it would grant nothing, without a word.
        raise CommandError(WRONG_INPUT, f"--subscribe {error}.") from None
    return grant


def _name(text: str, option: str, kind: str) -> str:
    if text != EVERY and not re.fullmatch(NAME_PATTERN, text):
        raise CommandError(WRONG_INPUT, f'{option} must be {kind} or "{EVERY}".')
    return text


def _json(text: str, option: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise CommandError(WRONG_INPUT, f"{option} is not JSON: {error}.") from None
