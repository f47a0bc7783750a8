"""What a single setting may be: types with their bounds, and words for whoever wrote something else.

Each carries what is allowed as its `description`: the end of a sentence that begins "… must be".
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PlainSerializer, SecretStr, SerializationInfo
from pydantic_core import PydanticCustomError

from gateway.core.events import EVENT_MEMBERS, NAME_PATTERN, RESERVED_EVENT_TYPES
from gateway.http.cookies import SESSION_COOKIE
from gateway.migration.links import QUERY_PARAMETERS
from gateway.ports.legacy_route import PARAMETER
from gateway.service.origins import network, origin

OWN_PATHS = ("/api/v1/sync", "/api/v1/admin", "/api/health", "/healthz", "/readyz", "/metrics", "/static")
"""What the gateway answers itself, with everything below."""

_NAME = re.compile(NAME_PATTERN)
_HOST_NAME = re.compile(r"\A([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])\Z")
_PATH = re.compile(rf"(/({PARAMETER}|[A-Za-z0-9._~!$&'()*+,;=:@\-]*))+\Z")
_BRACES = re.compile(rf"/{PARAMETER}(?=/|\Z)")
POINTER = re.compile(r"(/([^~/]|~[01])*)*\Z")
"""A JSON pointer (RFC 6901)."""
_COOKIE = re.compile(r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_MIN_SECRET_BYTES = 32
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0]")

KeyPath = tuple[str | int, ...]
"""The steps from the root to one setting."""


def wrong(predicate: str, path: KeyPath = ()) -> PydanticCustomError:
    """The error of a value that `predicate` ("must be …") does not hold of; `path` where it is elsewhere."""
    return PydanticCustomError("setting", "{predicate}", {"predicate": predicate, "path": path})


def _in_one_spelling(spell: Callable[[str], str]) -> AfterValidator:
    """Takes what `spell` makes of a value; the ValueError that it raises says what the value must be."""

    def checked(value: str) -> str:
        try:
            return spell(value)
        except ValueError as error:
            raise wrong(str(error)) from None

    return AfterValidator(checked)


def each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """`values` without repeats."""
    return tuple(dict.fromkeys(values))


def _not_reserved(value: str) -> str:
    if value in RESERVED_EVENT_TYPES:
        raise wrong(f"must not be the name of a control event ({', '.join(sorted(RESERVED_EVENT_TYPES))})")
    return value


def _free_member(value: str) -> str:
    if value in QUERY_PARAMETERS:
        raise wrong("must not be a query parameter of the protocol")
    if value in EVENT_MEMBERS:
        raise wrong("must not be a member that every event has")
    return value


def _free_cookie(value: str | None) -> str | None:
    if value == SESSION_COOKIE:
        raise wrong("must not be the one that the gateway sets by itself")
    return value


def _pointer(value: str) -> str:
    if not POINTER.match(value):
        raise wrong('must be a JSON pointer such as "/docs", or "" for the whole body')
    return value


def _ignored(value: str) -> str:
    if not value or not POINTER.match(value):
        raise wrong('must be a JSON pointer into an item such as "/updatedAt", where * is any one step')
    return value


def _unordered(value: str) -> str:
    if not value or not POINTER.match(value):
        raise wrong('must be a JSON pointer to a list of an item such as "/tags", where * is any one step')
    return value


def route_path(value: str) -> str:
    """`value`, where it is a path that callers may be served at. Raises ValueError otherwise."""
    if not _PATH.match(value) or "//" in value or {".", ".."} & set(value.split("/")):
        raise wrong(
            'must be a plain path that starts with "/", such as "/api/v1/orders"; a parameter such as '
            "{customer} is a whole step of it"
        )
    parameters = re.findall(PARAMETER, value)
    for parameter in parameters:
        if parameters.count(parameter) > 1:
            raise wrong(f"must not have {{{parameter}}} twice")
        if parameter in QUERY_PARAMETERS or parameter in EVENT_MEMBERS:
            raise wrong(
                f"must not have {{{parameter}}}: it is the protocol's own name for something else, and no "
                "stream could be asked for by it"
            )
    for own in OWN_PATHS:
        if value == own or value.startswith(own + "/"):
            raise wrong(f"must not be {own} or lie under it, which the gateway answers itself")
    return value


def _web_address(value: str, allowed: str) -> tuple[SplitResult, str]:
    """The parts of a URL of http or https, and its host. Raises `allowed` for anything else."""
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise wrong(allowed) from None
    if parts.scheme not in ("http", "https") or not host or _UNPRINTABLE.search(value):
        raise wrong(allowed)
    return parts, host


def _upstream(value: str) -> str:
    allowed = "must be a URL of http:// or https:// with a host, such as http://127.0.0.1:9000/orders"
    parts, _ = _web_address(value, allowed)
    if "@" in parts.netloc:
        raise wrong("must not hold a user name or a password")
    if "#" in value:
        raise wrong("must not have a fragment (#…)")
    before_query = value.partition("?")[0]
    if "${" in before_query:
        raise wrong("must have ${…} in its query alone, and in headers, query and body")
    if set("{}") & set(parts.netloc + _BRACES.sub("", parts.path)):
        raise wrong("must have a parameter such as {customer} as a whole step of its path")
    return value


def is_loopback(host: str) -> bool:
    """Whether that name or address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _jwks_url(value: str) -> str:
    allowed = "must be a URL of https:// with a host, such as https://idp.example/.well-known/jwks.json"
    parts, host = _web_address(value, allowed)
    if "@" in parts.netloc or "#" in value:
        raise wrong("must not hold a user name, a password or a fragment (#…)")
    if parts.scheme == "http" and not is_loopback(host):
        # Whoever is between could give keys of its own, and make any token with them.
        raise wrong("must be a URL of https://; one of http:// may be of this machine only (loopback)")
    return value


WITH_SECRETS = "with_secrets"
"""The context in which secrets are written as they are; in any other they are hidden."""


def _written_secret(value: SecretStr, info: SerializationInfo) -> str:
    return value.get_secret_value() if info.context == WITH_SECRETS else str(value)


HiddenText = Annotated[SecretStr, PlainSerializer(_written_secret, when_used="json")]
"""Text that nobody is shown."""


def _secret(value: SecretStr) -> SecretStr:
    try:
        size = len(value.get_secret_value().encode())
    except UnicodeEncodeError:
        raise wrong("must be text in UTF-8") from None
    if size < _MIN_SECRET_BYTES:
        raise wrong(f"must have {_MIN_SECRET_BYTES} bytes at least (RFC 7518, section 3.2), and has {size}")
    if "-----BEGIN " in value.get_secret_value():
        raise wrong("must not be a key in PEM: name the file of a public key as auth.public_key_file")
    return value


def text(description: str, **limits: Any) -> Any:
    """A text that is what `description` says, within these limits."""
    return Field(strict=True, description=description, **limits)


def number(unit: str, low: float, high: float) -> Any:
    """A number of that unit, within bounds."""
    return Field(
        strict=True, ge=low, le=high, allow_inf_nan=False, description=f"{unit} from {low} to {high}"
    )


def integer(unit: str, low: int, high: int) -> Any:
    """A whole number of that unit, within bounds."""
    return Field(strict=True, ge=low, le=high, description=f"{unit} from {low} to {high}")


_ALPHABET = "A-Z a-z 0-9 _ . -"

Port = Annotated[int, integer("an integer", 0, 65535)]
Count = Annotated[int, integer("an integer", 1, 10_000_000)]
Bytes = Annotated[int, integer("a number of bytes, an integer", 1, 2**40)]
Milliseconds = Annotated[int, integer("a number of milliseconds, an integer", 1, 3_600_000)]
Seconds = Annotated[float, number("a number of seconds", 0.01, 31_536_000)]
SecondsFromZero = Annotated[float, number("a number of seconds", 0, 31_536_000)]
Name = Annotated[str, text(f"a name (1 to 64 of {_ALPHABET})", pattern=_NAME)]
EventType = Annotated[
    str, text(f"an event type (1 to 64 of {_ALPHABET})", pattern=_NAME), AfterValidator(_not_reserved)
]

HostName = Annotated[
    str,
    text(
        "a host's name in lower case, without a port, such as shop.example",
        pattern=_HOST_NAME,
        max_length=253,
    ),
]

Origin = Annotated[str, text("an origin such as https://app.shop.example"), _in_one_spelling(origin)]
Network = Annotated[str, text("an address or a network such as 127.0.0.1/32"), _in_one_spelling(network)]
EntityType = Annotated[str, text(f"an entity type (1 to 56 of {_ALPHABET})", pattern=_NAME, max_length=56)]
IdAlias = Annotated[
    str, text(f"a member's name (1 to 64 of {_ALPHABET})", pattern=_NAME), AfterValidator(_free_member)
]
RoutePath = Annotated[str, text("a path"), AfterValidator(route_path)]
Upstream = Annotated[str, text("a URL"), AfterValidator(_upstream)]
ItemsPointer = Annotated[str, text("a JSON pointer"), AfterValidator(_pointer)]
IgnoredPointer = Annotated[str, text("a JSON pointer"), AfterValidator(_ignored)]
UnorderedPointer = Annotated[str, text("a JSON pointer"), AfterValidator(_unordered)]
Secret = Annotated[
    Annotated[HiddenText, AfterValidator(_secret)] | None,
    Field(strict=True, description=f"a text of {_MIN_SECRET_BYTES} bytes at least"),
]
JwksUrl = Annotated[Annotated[str, AfterValidator(_jwks_url)] | None, text("a URL")]
CookieName = Annotated[
    str | None,
    text("the name of a cookie (RFC 6265, section 4.1.1)", pattern=_COOKIE),
    AfterValidator(_free_cookie),
]
