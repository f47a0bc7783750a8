"""What may be shown of a URL: everything but its secrets."""

import re

_PASSWORD = re.compile(r"(://[^/:@\s]*):[^/\s]*@")
_PARAMETER = re.compile(r"([?&](?:sentinel_|ssl)?password=)[^&\s]*", re.IGNORECASE)


def redacted(text: str) -> str:
    """`text` with `***` in place of every password in the URLs that it holds."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
