"""What may be shown of a URL: everything but its secrets."""

import re
from urllib.parse import unquote_plus

# Up to the last @ before the path: libpq takes any other character for one of the password's.
_CREDENTIALS = re.compile(r"(://[^/:@\n]*):[^/\n]*@")
_PARAMETER = re.compile(r"([?&])([^=&\s]*)=[^&\n]*")
_SECRET_NAMES = ("password", "secret", "token")


def redacted(text: str) -> str:
    """`text` with `***` in place of every password of the URL that it is, or ends with."""
    return _PARAMETER.sub(_parameter, _CREDENTIALS.sub(r"\1:***@", text))


def _parameter(match: re.Match[str]) -> str:
    # Names may be escaped as values may be.
    name = unquote_plus(match[2]).lower()
    if any(secret in name for secret in _SECRET_NAMES):
        return f"{match[1]}{match[2]}=***"
    return match[0]
