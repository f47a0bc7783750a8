"""What may be shown of a URL, and of what people write: everything but its secrets."""

import re
from typing import Any
from urllib.parse import unquote_plus

# Up to the last @ before the path: libpq takes any other character for one of the password's.
_CREDENTIALS = re.compile(r"(://[^/:@\n]*):[^/\n]*@")
_PARAMETER = re.compile(r"([?&])([^=&\s]*)=[^&\n]*")
# A JWT (RFC 7519) or JWE in its compact form, and a static key of the gateway.
_TOKENS = re.compile(r"ey[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}|tgk_[A-Za-z0-9_-]+")
_SECRET_NAMES = ("password", "secret", "token")


def redacted(text: str) -> str:
    """`text` with `***` in place of every password of the URL that it is, or ends with."""
    return _PARAMETER.sub(_parameter, _CREDENTIALS.sub(r"\1:***@", text))


def without_tokens(value: Any) -> Any:
    """A JSON value with `***` in place of whatever looks like a token or a key, wherever it stands."""
    if isinstance(value, str):
        return _TOKENS.sub("***", value)
    if isinstance(value, dict):
        return {without_tokens(name): without_tokens(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_tokens(inner) for inner in value]
    return value


def _parameter(match: re.Match[str]) -> str:
    # Names may be escaped as values may be.
    name = unquote_plus(match[2]).lower()
    if any(secret in name for secret in _SECRET_NAMES):
        return f"{match[1]}{match[2]}=***"
    return match[0]
