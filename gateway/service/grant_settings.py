"""`[[auth.grants]]`, `[auth.anonymous]` and `[[auth.keys]]`: who is granted what, as settings."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from gateway.access.grant_parsing import MalformedGrant, parse_grant
from gateway.access.grant_templates import parse_template, without_claims
from gateway.service.setting_types import HiddenText, KeyPath, Name, text, wrong

_SHA256 = re.compile(r"\A[0-9a-f]{64}\Z")
_NAME_OR_EVERY = re.compile(r"\A(\*|[A-Za-z0-9_.\-]{1,64})\Z")


def _checked_by(parse: Callable[[Any], object]) -> AfterValidator:
    def checked(value: Any) -> Any:
        try:
            parse(value)
        except MalformedGrant as error:
            raise wrong(str(error)) from None
        return value

    return AfterValidator(checked)


def _json_value(value: Any) -> Any:
    if not _is_json(value):
        raise wrong("must be a value that JSON has: no date or time, and no number that is not finite")
    return value


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_json, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def _sha256(value: SecretStr) -> SecretStr:
    lower = value.get_secret_value().lower()
    if not _SHA256.match(lower):
        raise wrong("must be a SHA-256 in 64 hexadecimal digits, which `tidegate key` prints beside the key")
    return SecretStr(lower)


Right = Annotated[bool, Field(strict=True, description="true or false")]

_GRANTS = 'a list of grants such as ["order", "invoice:customer_id=eq.7"]'

RuleGrants = Annotated[tuple[Annotated[Any, _checked_by(parse_template)], ...], Field(description=_GRANTS)]
"""Grants to receive events, with claims in place of operands and ids."""
PlainGrants = Annotated[
    tuple[Annotated[Any, _checked_by(lambda value: parse_grant(without_claims(value)))], ...],
    Field(description=_GRANTS),
]
PublishGrants = Annotated[
    tuple[
        Annotated[
            str,
            text('an entity type (1 to 64 of A-Z a-z 0-9 _ . -), "*" or "global"', pattern=_NAME_OR_EVERY),
        ],
        ...,
    ],
    Field(description='a list of entity types, or of "*" or "global"'),
]
ChannelGrants = Annotated[
    tuple[
        Annotated[str, text('a channel (1 to 64 of A-Z a-z 0-9 _ . -) or "*"', pattern=_NAME_OR_EVERY)],
        ...,
    ],
    Field(description='a list of channels, or of "*"'),
]
WantedClaims = Annotated[
    Mapping[
        Annotated[str, text("the name of a claim", min_length=1)], Annotated[Any, AfterValidator(_json_value)]
    ],
    Field(description="a table of claims and the values that they must have"),
]
KeyHash = Annotated[
    HiddenText, Field(strict=True, description="a SHA-256 in 64 hexadecimal digits"), AfterValidator(_sha256)
]
"""Hidden as a secret is: somebody may well put the key itself here."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleSettings(_Table):
    """`[[auth.grants]]`: what tokens with these claims are granted; without `when` every token."""

    when: WantedClaims = {}
    subscribe: RuleGrants = ()
    publish: PublishGrants = ()
    presence: ChannelGrants = ()
    broadcast: ChannelGrants = ()
    admin: Right = False
    metrics: Right = False


class AnonymousSettings(_Table):
    """`[auth.anonymous]`: what callers without a token are granted; without the table they get 401."""

    subscribe: PlainGrants = ()
    publish: PublishGrants = ()
    presence: ChannelGrants = ()
    broadcast: ChannelGrants = ()


class StaticKeySettings(_Table):
    """`[[auth.keys]]`: a static key of a backend or scraper, as the hash of what it sends."""

    name: Name
    sha256: KeyHash
    subscribe: PlainGrants = ()
    publish: PublishGrants = ()
    presence: ChannelGrants = ()
    broadcast: ChannelGrants = ()
    admin: Right = False
    metrics: Right = False


def repeated_keys(keys: tuple[StaticKeySettings, ...]) -> Iterator[tuple[KeyPath, str]]:
    """The names and hashes of static keys that others have already, each with its "must not be …"."""
    seen: dict[tuple[str, str], int] = {}
    for index, key in enumerate(keys):
        for name, value in (("name", key.name), ("sha256", key.sha256.get_secret_value())):
            first = seen.setdefault((name, value), index)
            if first != index:
                yield ("auth", "keys", index, name), f"must not be that of another key (auth.keys[{first}])"
