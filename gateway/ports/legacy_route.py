"""One legacy route: what is polled, how its answer is read, and what its changes are called."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from yarl import URL

from gateway.core.events import NAME_PATTERN, RESERVED_EVENT_TYPES

_NAME = re.compile(NAME_PATTERN)
PARAMETER = r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}"
"""A parameter of a path, which is a whole step of it; the group is its name."""

_PATH = re.compile(rf"(/({PARAMETER}|[A-Za-z0-9._~!$&'()*+,;=:@\-]*))+\Z")
_FILLED_PATH = re.compile(r"/([A-Za-z0-9._~!$&'()*+,;=:@/\-]|%[0-9A-F]{2})*\Z")
_POINTER = re.compile(r"(/([^~]|~[01])*)?\Z", re.DOTALL)
_LONGEST_KEY_NAME = 256
_LONGEST_ENTITY = 64 - len("_created")


Shape = Literal["list", "map", "single"]
"""A list of items; an object whose member names are the keys; one entity."""

Empty = Literal["null", "absent", 204, 404]
"""What means that there are no items: a null or nothing at `items`, or a status."""


@dataclass(frozen=True)
class Pages:
    """Where an answer names its next page: a pointer to its address in the body, or else a Link field."""

    next: str | None = None
    link: bool = False


@dataclass(frozen=True)
class Functions:
    """Functions of the operator's own, each `package.module:function`, which run apart from the gateway."""

    decode: str | None = None
    map: str | None = None

    def __bool__(self) -> bool:
        return self.decode is not None or self.map is not None

    @property
    def names(self) -> str:
        """Both in one text, by which they are told from others; empty where there are none."""
        return f"{self.decode or ''} {self.map or ''}" if self else ""


@dataclass(frozen=True)
class UpstreamTls:
    """Files in PEM for the way to an upstream: whom to trust, and who the gateway is. Absolute paths."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


def url_of(upstream: str) -> URL:
    """The URL as it was written, which may not be how yarl would quote it."""
    return URL(upstream, encoded=upstream.isascii())


@dataclass(frozen=True, eq=False)
class LegacyRoute:
    """A path that pollers call, and the upstream behind it (docs/protocol.md, section 7).

    Of a path with parameters (`/customers/{customer}/orders`), and of a route with `vary_query`, each list
    that somebody asks for is a route of its own, made by `replace`: with the path and the upstream filled in,
    the parameters' values as `members`, which each of its items has too, and the query as `variant`.

    `items` is a JSON pointer (RFC 6901) to the list in the answer, "" the whole answer; `key` names the
    member that identifies an item, by its name or a pointer, or several of them; `changes` gives the event
    type for a changed member, by its name or a pointer. `events` says whether the poll publishes what it sees
    change, or only serves. Raises ValueError for a value that can't work.
    """

    component: str
    path: str
    upstream: str = field(repr=False)
    entity: str
    items: str
    key: str | tuple[str, ...]
    interval_seconds: float
    shared: bool = False
    events: Literal["poll", "external", "none"] = "poll"
    changes: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 10.0
    max_body_bytes: int = 16 * 1024 * 1024
    stale_if_error_seconds: float = 300.0
    max_delete_ratio: float = 0.5
    max_event_bytes: int = 65_536
    # What the gateway's own poll says, and nothing that goes through. Its secrets are shown nowhere.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)
    method: str = "GET"
    body: str | None = field(default=None, repr=False)
    content_type: str = "application/json"
    public_url: str | None = None
    tls: UpstreamTls = UpstreamTls()
    follow_redirects: bool = False
    pages: Pages | None = None
    max_pages: int = 100
    also: tuple[str, ...] = ()
    # How the answer is read.
    shape: Shape = "list"
    id: str | None = None
    empty: tuple[Empty, ...] = ("null",)
    ignore: tuple[str, ...] = ()
    deleted: str | None = None
    functions: Functions = Functions()
    # Which requests are answered from what, and which are writes.
    vary_query: tuple[str, ...] = ()
    ignore_query: tuple[str, ...] = ()
    max_variants: int = 100
    reads: tuple[str, ...] = ()
    write_poll_seconds: float | None = None
    # Of one list of several.
    members: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""

    def __post_init__(self) -> None:
        allowed = _FILLED_PATH if self.members else _PATH
        if not allowed.match(self.path) or "//" in self.path or {".", ".."} & set(self.path.split("/")):
            raise ValueError("path: must be a plain absolute path such as /api/v1/orders")
        if not _NAME.match(self.component):
            raise ValueError("component: must be 1 to 64 of A-Z a-z 0-9 _ . -")
        if not _NAME.match(self.entity) or len(self.entity) > _LONGEST_ENTITY:
            raise ValueError(f"entity: must be 1 to {_LONGEST_ENTITY} of A-Z a-z 0-9 _ . -")
        if not _POINTER.match(self.items):
            raise ValueError('items: must be a JSON pointer such as /docs, or "" for the whole answer')
        if self.shape == "list" and not self.key and self.events != "none":
            raise ValueError("key: must name a member")
        for member, event_type in self.changes.items():
            if not _NAME.match(event_type) or event_type in RESERVED_EVENT_TYPES:
                raise ValueError(f"changes.{member}: {event_type!r} can't be an event type")
        if min(self.interval_seconds, self.timeout_seconds, self.max_body_bytes, self.max_event_bytes) <= 0:
            raise ValueError("interval_seconds, timeout_seconds and the sizes must be above 0")
        if self.stale_if_error_seconds < 0 or not 0 <= self.max_delete_ratio <= 1:
            raise ValueError("stale_if_error_seconds must not be negative, max_delete_ratio within 0 to 1")
        if self.url.scheme not in ("http", "https") or not self.url.raw_host:
            raise ValueError("upstream: must be an http or https URL")
        if self.url.raw_user is not None or self.url.raw_password is not None or self.url.raw_fragment:
            raise ValueError("upstream: must hold no user, password or fragment")

    @cached_property
    def url(self) -> URL:
        """Where the list is asked for: as it was written, which may not be how yarl would quote it."""
        return url_of(self.upstream)

    @cached_property
    def name(self) -> str:
        """What tells this list from every other: its path, with the query where it is of one."""
        return f"{self.path}?{self.variant}" if self.variant else self.path

    @property
    def is_one_of_many(self) -> bool:
        """Whether callers say which list it is, by the path or the query."""
        return bool(self.members or self.variant)

    @cached_property
    def key_name(self) -> str:
        """The same for keys, which are bounded: a long name is cut, with its SHA-256 behind it."""
        if len(self.name) <= _LONGEST_KEY_NAME:
            return self.name
        return f"{self.name[:_LONGEST_KEY_NAME]}#{hashlib.sha256(self.name.encode()).hexdigest()}"

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the path, in its order; none where they are filled in."""
        return tuple(re.findall(PARAMETER, self.path))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The members, or pointers, of which an item's key is made."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)

    @property
    def is_in_parts(self) -> bool:
        """Whether the list takes several requests, between which it may change."""
        return self.pages is not None or bool(self.also)

    @cached_property
    def source(self) -> str:
        """What the events of this route say about where they come from."""
        return f"poll:{self.component}"
