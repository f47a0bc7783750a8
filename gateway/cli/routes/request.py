"""What a route says of the request that it is polled with, with its secrets in the environment. Pure."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit

from gateway.cli.routes.naming import variable
from gateway.service.legacy_setting_types import NOT_FOR_HEADERS, unknown_codings
from gateway.service.variables import has_reference

_PLAIN_FIELDS = frozenset(
    {
        "accept",
        "accept-language",
        "accept-encoding",
        "user-agent",
        "prefer",
        "x-requested-with",
        "odata-version",
    }
)
_SECRETS = re.compile(r"(api_?key|key|token|secret|passw|auth|sig(nature)?)", re.IGNORECASE)
_BUSTERS = frozenset(
    {"_", "t", "ts", "cb", "rnd", "rand", "random", "nocache", "no_cache", "timestamp", "bust"}
)
_PAGES = frozenset({"page", "offset", "cursor", "after", "before", "start", "skip", "page[number]"})
_SECRET_MEMBER = re.compile(
    r'("[^"\\]*(?:password|secret|token|api_?key)[^"\\]*"\s*:\s*)"((?:[^"\\]|\\.)+)"', re.IGNORECASE
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*) +(\S.*)\Z", re.DOTALL)
_IN_PATH = "/~!$&'()*+,;=:@%-._"
_IN_QUERY = "~!$&'()*+,;=:@/?%{}[]|-._\"\\^`<>"


class Asked(NamedTuple):
    """What is asked for: a URL with any query, and what is sent.

    `${NAME}` in the query, the body or a header field is of the environment, as in the configuration.
    """

    url: str
    method: str = "GET"
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Said(NamedTuple):
    """Settings of the request; `variables` are what they name, with the values that were given."""

    settings: dict[str, Any]
    doubts: list[str]
    variables: dict[str, str]


def request_settings(asked: Asked, component: str) -> Said:
    """`upstream`, `headers`, `query`, `method`, `body`, `content_type`, `vary_query` and `ignore_query`."""
    said = Said({}, [], {})
    address, _, query = asked.url.partition("#")[0].partition("?")
    parts = urlsplit(address)
    said.settings["upstream"] = f"{parts.scheme}://{parts.netloc}{quote(parts.path, safe=_IN_PATH)}"
    _say_headers(said, asked.headers, component)
    if query:
        _say_query(said, query, component)
    if asked.method != "GET":
        said.settings["method"] = asked.method
    if asked.body is not None:
        said.settings["body"] = _SECRET_MEMBER.sub(
            lambda found: f'{found[1]}"{_taken(said, component, "body", found[2])}"', asked.body
        )
        for name, value in asked.headers:
            if name.lower() == "content-type" and value != "application/json":
                said.settings["content_type"] = value
    for name in said.variables:
        said.doubts.append(f"Set {name} in the environment to what was given here.")
    return said


def _say_headers(said: Said, headers: Iterable[tuple[str, str]], component: str) -> None:
    given: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower == "content-type":
            continue
        if lower in NOT_FOR_HEADERS or (lower == "accept-encoding" and unknown_codings(value)):
            reason = NOT_FOR_HEADERS.get(lower, "asks for a coding that the gateway can't take off")
            said.doubts.append(f"{name} is left out: it {reason}.")
        elif lower in _PLAIN_FIELDS:
            given[name] = value
        else:
            scheme = _SCHEME.match(value) if lower == "authorization" else None
            secret = value if scheme is None else scheme[2]
            before = "" if scheme is None else f"{scheme[1]} "
            given[name] = before + _taken(said, component, name, secret)
    if given:
        said.settings["headers"] = given


def _say_query(said: Said, query: str, component: str) -> None:
    kept, varied, ignored = [], [], []
    for pair in query.split("&"):
        raw, mark, value = pair.partition("=")
        name = unquote_plus(raw)
        if name.lower() in _BUSTERS:
            ignored.append(name)
            continue
        if value and _SECRETS.search(name):
            kept.append(f"{_encoded(raw)}={_taken(said, component, name, unquote_plus(value))}")
            continue
        if name.lower() in _PAGES:
            said.doubts.append(
                f"{name} is left to callers: with it the poll would see that page alone. How pages go on is "
                "for pages to say."
            )
        else:
            kept.append(_encoded(raw + mark + value))
        if name and name.isprintable() and len(name) <= 256 and not set(name) & set("&=#"):
            varied.append(name)
    if any(kept):
        said.settings["query"] = "&".join(kept)
    for setting, names in (("vary_query", varied), ("ignore_query", ignored)):
        if names:
            said.settings[setting] = list(dict.fromkeys(names))


def _taken(said: Said, component: str, name: str, secret: str) -> str:
    """A reference to a variable in place of what is secret, and is no such reference already."""
    if has_reference(secret):
        return secret
    taken = variable(component, name, said.variables)
    said.variables[taken] = secret
    return f"${{{taken}}}"


def _encoded(text: str) -> str:
    return quote(text, safe=_IN_QUERY)
