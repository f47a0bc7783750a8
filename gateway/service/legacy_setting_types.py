"""What a single setting of a legacy route may be: types, and words for whoever wrote something else.

As in setting_types.py, each carries what is allowed as its `description`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from gateway.core.events import has_control_characters
from gateway.core.header_fields import is_sendable
from gateway.core.unpacking import CODINGS
from gateway.ports.upstreams import SAFE_METHODS
from gateway.service.origins import origin
from gateway.service.setting_types import POINTER, HiddenText, each_once, text, wrong

_FIELD_NAME = re.compile(r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_QUERY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%{}\[\]|\"\\^`<>-]*\Z")
_STEP = r"(\*|[A-Za-z0-9._~!$&'()+,;=:@\-]*)"
_PATTERN = re.compile(rf"(/{_STEP})+\Z")
_FUNCTION = re.compile(r"\A[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")
_MAX_KEY_PARTS = 8
_MAX_NAME = 256

NOT_FOR_HEADERS = {
    **dict.fromkeys(
        ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        "is of one connection (RFC 9110, section 7.6.1)",
    ),
    **dict.fromkeys(("content-length", "expect"), "follows from the body"),
    **dict.fromkeys(
        ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"),
        "is the gateway's to say: it asks for all, and whether it changed",
    ),
    **dict.fromkeys(
        ("host", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"),
        "follows from public_url: set that",
    ),
    "content-type": "is set as content_type",
}
"""Fields that a poll can't be given, by name, and why."""


def _header_name(value: str) -> str:
    reason = NOT_FOR_HEADERS.get(value.lower())
    if reason is not None:
        raise wrong(f"must not be set: {value} {reason}")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    given = value.get_secret_value()
    if not is_sendable(given):
        raise wrong(
            "must not have control characters, such as a line break at the end of what a variable holds"
        )
    if given != given.strip(" \t"):
        raise wrong("must not begin or end with a space (RFC 9110, section 5.5)")
    return value


def unknown_codings(value: str) -> list[str]:
    """The content codings of an Accept-Encoding field that the gateway can't take off."""
    named = [element.partition(";")[0].strip().lower() for element in value.split(",")]
    return [coding for coding in named if coding and coding not in {*CODINGS, "identity"}]


def _query(value: SecretStr) -> SecretStr:
    given = value.get_secret_value()
    if given.startswith("?"):
        raise wrong('must be without the "?"')
    if not _QUERY.match(given):
        raise wrong(
            "must be a query as a URL has it, without # and with anything but ASCII, and spaces, "
            "percent-encoded"
        )
    return value


def _body(value: SecretStr) -> SecretStr:
    try:
        value.get_secret_value().encode()
    except UnicodeEncodeError:
        raise wrong("must be text in UTF-8") from None
    return value


def _method(value: str) -> str:
    if not _METHOD.match(value) or value != value.upper():
        raise wrong("must be a method in capital letters, such as POST")
    if value != "GET" and (value in SAFE_METHODS or value in ("CONNECT", "DELETE")):
        raise wrong(f"must not be {value}, which asks for no list: use GET or POST")
    return value


def _content_type(value: str) -> str:
    if not is_sendable(value) or "/" not in value or value != value.strip():
        raise wrong("must be a media type such as application/json")
    return value


def _member(value: str) -> str:
    if value.startswith("/") and (value == "/" or not POINTER.match(value)):
        raise wrong('must be the name of a member, or a JSON pointer such as "/metadata/uid"')
    return value


def _step_to(value: str) -> str:
    if value in ("", "/") or not POINTER.match(value):
        raise wrong('must be a JSON pointer into an item such as "/archived"')
    return value


def _next_page(value: str) -> str:
    if value in ("", "/") or not POINTER.match(value):
        raise wrong('must be a JSON pointer to the address of the next page such as "/next"')
    return value


_KEY = 'the name of a member, a JSON pointer such as "/metadata/uid", or a list of them'


def _key(value: Any) -> str | tuple[str, ...] | None:
    if value is None:
        return None
    parts = (value,) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise wrong(f"must be {_KEY}")
    if not 1 <= len(parts) <= _MAX_KEY_PARTS or not all(1 <= len(part) <= _MAX_NAME for part in parts):
        raise wrong(f"must be {_KEY}, 1 to {_MAX_KEY_PARTS} of 1 to {_MAX_NAME} characters")
    if len(set(parts)) < len(parts):
        raise wrong("must not name a member twice")
    for part in parts:
        _member(part)
    return value if isinstance(value, str) else tuple(parts)


def _entity_id(value: str) -> str:
    if has_control_characters(value):
        raise wrong("must not have control characters")
    return value


def _parameter_name(value: str) -> str:
    if has_control_characters(value) or set(value) & set("&=#"):
        raise wrong("must be the name of a query parameter as it is when decoded, without &, = and #")
    if value == "access_token":
        raise wrong("must not be access_token, which says who asks: nobody else may be given such an answer")
    return value


def _read(value: str) -> str:
    method, _, path = value.partition(" ")
    if not _METHOD.match(method) or method != method.upper() or not _PATTERN.match(path) or "//" in path:
        raise wrong(
            'must be a method and a path such as "POST /api/v1/orders/search", where * is any one step'
        )
    if method in SAFE_METHODS:
        raise wrong(f"must not have the method {method}, which never counts as a write")
    return value


def _also(value: str) -> str:
    if not value or not value.isascii() or not value.isprintable() or " " in value or "#" in value:
        raise wrong("must be a URL, or a path at the upstream, such as /orders/closed")
    if "${" in value:
        raise wrong("must not have ${…}: what is secret belongs into headers or query")
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises ValueError where it is none
    except ValueError:
        raise wrong("must be a URL, or a path at the upstream, such as /orders/closed") from None
    if "@" in parts.netloc:
        raise wrong("must not have a user or password: what is secret belongs into headers")
    return value


def _public_url(value: str) -> str:
    try:
        spelt = origin(value)
    except ValueError:
        spelt = ""
    if not spelt.startswith(("http://", "https://")):
        raise wrong("must be http:// or https:// with a host and no path, such as https://api.shop.example")
    return spelt


def _file_path(value: str) -> str:
    if has_control_characters(value):
        raise wrong("must be the path of a file in PEM")
    return value


Switch = Annotated[bool, Field(strict=True, description="true or false")]
MemberOrPointer = Annotated[
    str,
    text(
        'the name of a member, 1 to 256 characters, or a JSON pointer such as "/status/phase"',
        min_length=1,
        max_length=_MAX_NAME,
    ),
    AfterValidator(_member),
]
Key = Annotated[str | tuple[str, ...] | None, BeforeValidator(_key), Field(description=_KEY)]
ItemPointer = Annotated[str, text("a JSON pointer"), AfterValidator(_step_to)]
NextPointer = Annotated[str, text("a JSON pointer"), AfterValidator(_next_page)]
Headers = Annotated[
    Mapping[
        Annotated[str, text("the name of a header field", pattern=_FIELD_NAME), AfterValidator(_header_name)],
        Annotated[HiddenText, AfterValidator(_header_value), Field(strict=True, description="a text")],
    ],
    Field(description="a table of header fields and their values"),
]
Query = Annotated[
    HiddenText,
    AfterValidator(_query),
    Field(strict=True, description="a query such as limit=500&status=open"),
]
Body = Annotated[HiddenText, AfterValidator(_body), Field(strict=True, description="a text")]
Method = Annotated[str, text("a method such as POST"), AfterValidator(_method)]
ContentType = Annotated[
    str, text("a media type such as application/json", max_length=_MAX_NAME), AfterValidator(_content_type)
]
PublicUrl = Annotated[str, text("an origin such as https://api.shop.example"), AfterValidator(_public_url)]
FilePath = Annotated[str, text("the path of a file in PEM", min_length=1), AfterValidator(_file_path)]
Shapes = Annotated[Literal["list", "map", "single"], Field(description='"list", "map" or "single"')]
EntityId = Annotated[
    str,
    text("an entity's id, 1 to 256 characters", min_length=1, max_length=_MAX_NAME),
    AfterValidator(_entity_id),
]
EmptyAnswers = Annotated[
    tuple[
        Annotated[Literal["null", "absent", 204, 404], Field(description='"null", "absent", 204 or 404')], ...
    ],
    Field(description='a list of "null", "absent", 204 and 404'),
    AfterValidator(each_once),
]
ParameterNames = Annotated[
    tuple[
        Annotated[
            str,
            text("the name of a query parameter, 1 to 256 characters", min_length=1, max_length=_MAX_NAME),
            AfterValidator(_parameter_name),
        ],
        ...,
    ],
    Field(description='a list of query parameters such as ["status"]'),
    AfterValidator(each_once),
]
Reads = Annotated[
    tuple[Annotated[str, text("a method and a path"), AfterValidator(_read)], ...],
    Field(description='a list such as ["POST /api/v1/orders/search"]'),
    AfterValidator(each_once),
]
Also = Annotated[
    tuple[Annotated[str, text("a URL"), AfterValidator(_also)], ...],
    Field(description='a list of URLs such as ["/orders/closed"]'),
]
Function = Annotated[
    str, text("a function such as shop.orders:decode (package.module:function)", pattern=_FUNCTION)
]
