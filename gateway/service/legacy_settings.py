"""`[[legacy]]` and `[legacy.parity]`: what can be set of one route that pollers call.

The contract is docs/protocol.md, section 7. legacy_setting_types.py says what one value may be, and
`contradictions` what does not go together.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from gateway.ports.legacy_route import PARAMETER
from gateway.service.legacy_setting_types import (
    Also,
    Body,
    ContentType,
    EmptyAnswers,
    EntityId,
    FilePath,
    Function,
    Headers,
    ItemPointer,
    Key,
    MemberOrPointer,
    Method,
    NextPointer,
    ParameterNames,
    PublicUrl,
    Query,
    Reads,
    Shapes,
    Switch,
    unknown_codings,
)
from gateway.service.setting_types import (
    Bytes,
    Count,
    EntityType,
    EventType,
    IgnoredPointer,
    ItemsPointer,
    KeyPath,
    Name,
    RoutePath,
    Seconds,
    SecondsFromZero,
    UnorderedPointer,
    Upstream,
    number,
)

_PARAMETERS = re.compile(PARAMETER)
_OF_POLLS = (
    *("headers", "query", "method", "body", "content_type", "public_url", "follow_redirects"),
    *("pages", "max_pages", "also", "shape", "id", "empty", "ignore", "deleted", "decode", "map"),
    *("vary_query", "ignore_query", "max_variants", "reads", "write_poll_seconds"),
)
"""Settings that say how a list is polled or read, or who gets it: a route that is not shared has no such."""
_OF_EVENTS = ("changes", "ignore", "deleted")
_TLS_FILES = ("ca_file", "cert_file", "key_file")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ParitySettings(_Table):
    """`[legacy.parity]`: what comparing the polled list with the pushed events overlooks, and remembers.

    Without `settle_seconds` it is twice the route's interval, and at least 2: so that two polls that follow
    one another fall into one window, and that a publisher may take longer than a fast poll.
    """

    ignore: Annotated[
        tuple[IgnoredPointer, ...],
        Field(description="a list of JSON pointers into an item"),
    ] = ()
    unordered: Annotated[
        tuple[UnorderedPointer, ...],
        Field(description="a list of JSON pointers to lists of an item"),
    ] = ()
    numeric_tolerance: Annotated[float, number("a number", 0, 1_000_000_000)] = 0.0
    settle_seconds: Annotated[float | None, number("a number of seconds", 0.01, 31_536_000)] = None
    merge: Switch = False
    keep_values: Switch = False

    def settle_of(self, interval_seconds: float) -> float:
        """The settle window of a route that is polled so often."""
        return max(2.0, 2 * interval_seconds) if self.settle_seconds is None else self.settle_seconds


class PagesSettings(_Table):
    """`pages`: where an answer says which page comes next: in its body, or in a Link field (RFC 8288)."""

    next: Annotated[NextPointer | None, Field(description="a JSON pointer")] = None
    link: Switch = False


class LegacySettings(_Table):
    """`[[legacy]]`: one route that pollers call today.

    `${NAME}` in `headers`, `query` and `body` is filled in already: these are secrets, and shown nowhere.
    """

    component: Name
    path: RoutePath
    upstream: Upstream
    # The longest event type made of it is entity_created.
    entity: EntityType
    items: ItemsPointer = ""
    key: Key = None
    interval_seconds: Seconds = 2.0
    timeout_seconds: Seconds = 10.0
    max_body_bytes: Bytes = 16_777_216
    stale_if_error_seconds: SecondsFromZero = 300.0
    max_delete_ratio: Annotated[float, number("a number", 0, 1)] = 0.5
    shared: Switch = False
    events: Annotated[
        Literal["poll", "external", "none"], Field(description='"poll", "external" or "none"')
    ] = "poll"
    changes: Annotated[
        Mapping[MemberOrPointer, EventType],
        Field(description="a table of members and the event types they give"),
    ] = {}
    headers: Headers = {}
    query: Annotated[Query | None, Field(strict=True, description="a query such as limit=500")] = None
    method: Method = "GET"
    body: Annotated[Body | None, Field(strict=True, description="a text")] = None
    content_type: ContentType = "application/json"
    public_url: Annotated[
        PublicUrl | None, Field(description="an origin such as https://api.shop.example")
    ] = None
    ca_file: Annotated[FilePath | None, Field(description="the path of a file in PEM")] = None
    cert_file: Annotated[FilePath | None, Field(description="the path of a file in PEM")] = None
    key_file: Annotated[FilePath | None, Field(description="the path of a file in PEM")] = None
    follow_redirects: Switch = False
    pages: Annotated[
        PagesSettings | None, Field(description='a table, { next = "/next" } or { link = true }')
    ] = None
    max_pages: Count = 100
    also: Also = ()
    shape: Shapes = "list"
    id: Annotated[EntityId | None, Field(description="an entity's id, 1 to 256 characters")] = None
    empty: EmptyAnswers = ("null",)
    ignore: Annotated[
        tuple[IgnoredPointer, ...],
        Field(description="a list of JSON pointers into an item"),
    ] = ()
    deleted: Annotated[ItemPointer | None, Field(description="a JSON pointer into an item")] = None
    decode: Annotated[Function | None, Field(description="a function such as shop.orders:decode")] = None
    map: Annotated[Function | None, Field(description="a function such as shop.orders:map")] = None
    vary_query: ParameterNames = ()
    ignore_query: ParameterNames = ()
    max_variants: Count = 100
    reads: Reads = ()
    write_poll_seconds: Annotated[float | None, number("a number of seconds", 0, 31_536_000)] = None
    parity: ParitySettings = ParitySettings()

    @property
    def key_parts(self) -> tuple[str, ...]:
        """The members, or pointers, of which an item's key is made."""
        return (self.key,) if isinstance(self.key, str) else self.key or ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the path, in its order."""
        return tuple(_PARAMETERS.findall(self.path))

    @property
    def pattern(self) -> str:
        """What the path matches, whatever its parameters are called."""
        return _PARAMETERS.sub("{}", self.path)

    def has(self, name: str) -> bool:
        """Whether a setting is something else than what it is by default."""
        return bool(getattr(self, name) != type(self).model_fields[name].default)


def contradictions(route: LegacySettings) -> Iterator[tuple[KeyPath, str]]:
    """The settings of a route that do not go together, each with its "must be …"."""
    if not route.shared:
        for name in filter(route.has, _OF_POLLS):
            yield (
                (name,),
                "must not be set without shared = true: other routes are not polled, and each caller's "
                "request goes through as it is",
            )
    yield from _of_the_request(route)
    yield from _of_the_key(route)
    yield from _of_the_events(route)
    yield from _of_the_path(route)


def _of_the_request(route: LegacySettings) -> Iterator[tuple[KeyPath, str]]:
    names = [name.lower() for name in route.headers]
    for name, value in route.headers.items():
        if names.count(name.lower()) > 1:
            yield ("headers", name), "must be set once, in whatever case it is written"
        elif name.lower() == "accept-encoding" and (unknown := unknown_codings(value.get_secret_value())):
            yield (
                ("headers", name),
                f"must not ask for {unknown[0]}, which the gateway can't take off: it can gzip, deflate and "
                "identity",
            )
    if route.body is not None and route.method == "GET":
        yield ("body",), 'must not be set with method "GET": say method = "POST" as well'
    if route.body is None and route.has("content_type"):
        yield ("content_type",), "must not be set without body, whose type it is"
    if route.query is not None and "?" in route.upstream:
        yield ("query",), "must not be set beside a query in upstream: write all of it in one of them"
    for name in _TLS_FILES:
        if route.has(name) and route.upstream.startswith("http:"):
            yield (
                (name,),
                "must not be set with an upstream of http://, where nothing is encrypted: say https://",
            )
    for name, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if route.has(name) and not route.has(other):
            yield (name,), f"must not be set without {other}: the gateway needs both to say who it is"
    yield from _of_several_requests(route)


def _of_several_requests(route: LegacySettings) -> Iterator[tuple[KeyPath, str]]:
    if route.pages is not None and (route.pages.next is None) is not route.pages.link:
        yield ("pages",), 'must have either next = "/…", a pointer into the body, or link = true'
    if route.pages is None and route.has("max_pages"):
        yield ("max_pages",), "must not be set without pages"
    for name in ("pages", "also"):
        if route.shape == "single" and route.has(name):
            yield (name,), 'must not be set with shape "single": one entity is in one answer'
    addresses = {route.upstream: "upstream"}
    for index, address in enumerate(route.also):
        full = urljoin(route.upstream, address)
        if _origin_of(full) != _origin_of(route.upstream):
            yield ("also", index), "must be of the same origin as upstream: scheme, host and port"
        if full in addresses:
            yield ("also", index), f"must not be asked for twice (it is that of {addresses[full]})"
        addresses[full] = f"also[{index}]"
        for parameter in _PARAMETERS.findall(urlsplit(full).path):
            if parameter not in route.parameters:
                yield ("also", index), f"must not have {{{parameter}}}, which is no parameter of path"


def _of_the_key(route: LegacySettings) -> Iterator[tuple[KeyPath, str]]:
    if route.shape == "list" and route.key is None and route.events != "none":
        yield ("key",), "must be set: it says by which member an item is known from answer to answer"
    if route.shape == "map" and route.key is not None:
        yield ("key",), 'must not be set with shape "map", where the names of the members are the keys'
    if route.shape == "single" and route.key is None and route.id is None and route.events != "none":
        yield (
            ("id",),
            'must be set with shape "single", or else key: one of them says what the entity is called',
        )
    if route.parameters and route.id is not None:
        yield (
            ("id",),
            "must not be set with parameters in path: the entities of all paths would have one id. Name in "
            "key a member that tells them apart",
        )
    if route.key is not None and route.id is not None:
        yield ("id",), "must not be set beside key: one of them says what the entity is called"
    if route.shape != "single" and route.id is not None:
        yield (
            ("id",),
            f'must not be set with shape "{route.shape}", whose items have keys: set shape = "single"',
        )
    if route.key_parts and set(route.key_parts) <= set(route.parameters):
        yield ("key",), "must name a member of the items too: all items of one path have the same parameters"
    for part in route.key_parts:
        for index, pointer in enumerate(route.ignore):
            if pointer == _pointer_of(part):
                yield ("ignore", index), "must not name the key, by which items are told apart"
        if route.deleted == _pointer_of(part):
            yield ("deleted",), "must not name the key, which every item has: all of them would be gone"


def _of_the_events(route: LegacySettings) -> Iterator[tuple[KeyPath, str]]:
    if route.events == "none":
        for name in filter(route.has, _OF_EVENTS):
            yield (name,), 'must not be set with events "none": nothing is compared there'
    members: dict[str, str] = {}
    for member in route.changes:
        pointer = _pointer_of(member)
        if pointer in members:
            yield ("changes", member), f"must not name the member of another ({members[pointer]})"
        members[pointer] = member
        if any(_is_within(pointer, ignored) for ignored in route.ignore):
            yield ("changes", member), "must not be named by ignore as well: its change would give no event"


def _is_within(pointer: str, pattern: str) -> bool:
    """Whether a pointer is what a pattern of pointers names, in which `*` is any one step, or below that."""
    steps, named = pointer.split("/"), pattern.split("/")
    return len(steps) >= len(named) and all(
        name in ("*", step) for step, name in zip(steps, named, strict=False)
    )


def _of_the_path(route: LegacySettings) -> Iterator[tuple[KeyPath, str]]:
    there = _PARAMETERS.findall(route.upstream)
    for parameter in route.parameters:
        if parameter not in there:
            yield (
                ("path",),
                f"must not have {{{parameter}}}, which upstream does not have: it would be the same list",
            )
    query = "" if route.query is None else route.query.get_secret_value()
    for parameter in _PARAMETERS.findall(query):
        if parameter in route.parameters:
            yield (
                ("query",),
                f"must not have {{{parameter}}}, which is filled in in upstream and also alone: write it "
                "into a query there, and what is secret into headers",
            )
    for parameter in _PARAMETERS.findall(urlsplit(route.upstream).path):
        if parameter not in route.parameters:
            yield ("upstream",), f"must not have {{{parameter}}}, which is no parameter of path"
    if route.has("max_variants") and not route.vary_query and not route.parameters:
        yield ("max_variants",), "must not be set without vary_query or a path with parameters"
    for index, name in enumerate(route.ignore_query):
        if name in route.vary_query:
            yield (
                ("ignore_query", index),
                "must not be in vary_query as well: the list depends on it or it does not",
            )
    for index, read in enumerate(route.reads):
        if not _is_at_or_below(read.partition(" ")[2], route.path):
            yield ("reads", index), f"must have a path that is {route.path} or lies below it"


def _is_at_or_below(pattern: str, path: str) -> bool:
    """Whether a pattern of a caller's path, where `*` is any one step, is of the route at `path`."""
    steps, own = pattern.split("/"), path.rstrip("/").split("/")
    return len(steps) >= len(own) and all(
        step in ("*", name) or _PARAMETERS.fullmatch(name) is not None
        for step, name in zip(steps, own, strict=False)
    )


def _pointer_of(member: str) -> str:
    """A member, by its name or a pointer, as a pointer."""
    return member if member.startswith("/") else "/" + member.replace("~", "~0").replace("/", "~1")


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
