"""One signed token as it is sent: a JWS in its compact form (RFC 7515), read strictly. Pure."""

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
import orjson

from gateway.access.token_keys import ALGORITHMS, TokenKey
from gateway.core.access_errors import InvalidToken

MAX_TOKEN_BYTES = 16_384

_FORM = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")
_CHECKS = {name: jwt.get_algorithm_by_name(name) for name in ALGORITHMS}


@dataclass(frozen=True, slots=True)
class Jws:
    """A token whose form is right; whether anybody signed it is what `is_signed_with` says.

    `payload` is what was signed, decoded; `signed` is that and the header as they were sent. Of the header
    nothing but `algorithm` and `kid` counts: a key, or the address of one, that a token brings along (`jwk`,
    `jku`, `x5c`, `x5u`) is its sender's word.
    """

    algorithm: str
    kid: str | None
    payload: bytes
    signed: bytes
    signature: bytes

    def is_signed_with(self, key: TokenKey) -> bool:
        """Whether that key's signature is on it, by the key's own algorithm."""
        if key.algorithm != self.algorithm:
            return False
        # What PyJWT's own reading would check beside it is checked by `parse_jws`, at a fifth of the cost.
        return _CHECKS[key.algorithm].verify(self.signed, key.material, self.signature)


def parse_jws(text: str) -> Jws:
    """Raises InvalidToken for what is no such token, and for one that says of itself that it is another."""
    if len(text) > MAX_TOKEN_BYTES:
        raise InvalidToken(f"The token is over {MAX_TOKEN_BYTES} bytes.")
    if not _FORM.fullmatch(text):
        raise InvalidToken(_why_no_form(text))
    head, payload, signature = text.split(".")
    algorithm, kid = _header(head)
    signed = text.rpartition(".")[0].encode()
    return Jws(algorithm, kid, _decoded(payload), signed, _decoded(signature))


@lru_cache(maxsize=64)
def _header(head: str) -> tuple[str, str | None]:
    """The algorithm and `kid` that a header says: those of one issuer are mostly the same."""
    header = json_object(_decoded(head), "header")
    _check_header(header)
    return header["alg"], header.get("kid")


def json_object(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object that the part of that name is. Raises InvalidToken for anything else.

    A member that is there twice is refused, since two readers may take one value each; and so is whatever
    could not be written as JSON again: NaN, numbers beyond 64 bits, half a surrogate pair.
    """
    try:
        value = _JSON.decode(data.decode())
        orjson.dumps(value)
    except (ValueError, RecursionError, TypeError):
        # Neither what was refused nor the parser's words are told: both may hold parts of the token.
        raise InvalidToken(f"The token's {name} is not JSON as it may be sent.") from None
    if not isinstance(value, dict):
        raise InvalidToken(f"The token's {name} is no JSON object.")
    return value


def _why_no_form(text: str) -> str:
    parts = text.split(".")
    if len(parts) == 5:
        return "The token is encrypted (a JWE): send a signed one (a JWS)."
    if len(parts) == 3 and parts[0] and parts[1] and not parts[2]:
        return "The token is not signed."
    return "The token is no JWT: that is three parts of base64url without padding, joined by dots."


def _decoded(part: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        data = b""
    # Spare bits that are not 0 would give one token several spellings.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise InvalidToken("The token is not base64url as RFC 7515 has it.")
    return data


def _check_header(header: Mapping[str, Any]) -> None:
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        raise InvalidToken("The token's header has no alg, or one or a kid that is no text.")
    if algorithm.lower() == "none":
        raise InvalidToken("The token is not signed.")
    if "crit" in header:
        raise InvalidToken("The token asks for an extension that is not understood here (crit).")
    if header.get("b64", True) is not True:
        raise InvalidToken("The token's payload is not in base64url (b64).")
    if _media_type(header, "cty") == "jwt":
        raise InvalidToken("The token holds another token (cty): send that one.")
    kind = _media_type(header, "typ")
    # RFC 8725, section 3.11: a token for another purpose, such as a logout, is none for this one.
    if kind.endswith("+jwt") and kind != "at+jwt":
        raise InvalidToken("The token is for another purpose (typ).")


def _media_type(header: Mapping[str, Any], name: str) -> str:
    value = header.get(name, "")
    if not isinstance(value, str):
        raise InvalidToken(f"The token's {name} is no text.")
    return value.lower().removeprefix("application/")


def _each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError("twice")
        members[name] = value
    return members


def _no_number(_: str) -> None:
    raise ValueError("no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("beyond 64 bits")
    return number


_JSON = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_number, parse_float=_finite)
