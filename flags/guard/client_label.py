"""A short name for a piece of client software: few labels, whatever clients send. Pure."""

import re
from functools import lru_cache

UNKNOWN = "unknown"
OTHER = "other"
"""For a client that names itself in a way that can't be shortened."""

_READ_CHARACTERS = 512
_OWN_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,31})/([0-9A-Za-z][0-9A-Za-z.+-]{0,23})(?![^\s;])")
_PRODUCT = re.compile(
    r"([A-Za-z][A-Za-z0-9_.-]{0,31})(?:/v?([0-9]{1,6})(?:\.([0-9]{1,6}))?)?(?![^\s/.;,()+-])"
)
_BROWSERS = (
    # The order matters: most browsers name Chrome and Safari too, and Safari's version has a name of its own.
    ("Edge", re.compile(r"\b(?:Edg|EdgA|EdgiOS)/([0-9]{1,6})")),
    ("Opera", re.compile(r"\b(?:OPR|OPT)/([0-9]{1,6})")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/([0-9]{1,6})")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/([0-9]{1,6})")),
    ("Chrome", re.compile(r"\b(?:Chrome|HeadlessChrome|CriOS|Chromium)/([0-9]{1,6})")),
    ("Safari", re.compile(r"\bVersion/([0-9]{1,6})[0-9.]*(?: Mobile/\w{1,16})? Safari/")),
)


@lru_cache(maxsize=256)
def client_label(tidegate_client: str | None, user_agent: str | None) -> str:
    """The label of whoever sent these header fields.

    `Tidegate-Client: name/version` gives `name/version`, so that one's own releases can be told apart. Else
    `User-Agent` (RFC 9110, section 10.1.5): browsers as `Chrome 131`, by their main version; any other as its
    first product, `curl 8.5`. Without either: `unknown`.
    """
    if tidegate_client and tidegate_client.strip():
        own = _OWN_NAME.match(tidegate_client.strip()[:_READ_CHARACTERS])
        return f"{own[1]}/{own[2]}" if own else OTHER
    if not user_agent or not user_agent.strip():
        return UNKNOWN
    agent = user_agent.strip()[:_READ_CHARACTERS]
    if agent.startswith("Mozilla/"):
        return _browser(agent)
    product = _PRODUCT.match(agent)
    if product is None:
        return OTHER
    numbers = ".".join(number for number in product.groups()[1:] if number)
    return f"{product[1]} {numbers}" if numbers else product[1]


def _browser(agent: str) -> str:
    for name, pattern in _BROWSERS:
        found = pattern.search(agent)
        if found:
            return f"{name} {found[1]}"
    return OTHER
