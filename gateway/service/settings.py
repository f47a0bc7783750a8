"""What can be set, and what it must look like. Where the values come from is config.py's business.

Names, sections and defaults are those of docs/protocol.md, sections 7 and 12. Every field carries what is
allowed as its `description`: the end of a sentence that begins "… must be". The checks that need more than
one value are in `_contradictions`; what this version does not have yet is in `_NOT_YET`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from gateway.core.events import EVENT_MEMBERS, NAME_PATTERN, RESERVED_EVENT_TYPES
from gateway.migration.links import QUERY_PARAMETERS
from gateway.service.origins import network, origin

OWN_PATHS = ("/api/v1/sync", "/api/v1/admin", "/api/health", "/healthz", "/readyz", "/metrics")
"""What the gateway answers itself, with everything below."""

_NAME = re.compile(NAME_PATTERN)
_HOST_NAME = re.compile(r"\A([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])\Z")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/\-]*\Z")
_POINTER = re.compile(r"(/([^~/]|~[01])*)*\Z")
_NOT_IN_PATH = re.compile(r"[\x00-\x1f\x7f-\x9f?#%]")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0]")

KeyPath = tuple[str | int, ...]
"""The steps from the root to one setting."""


def _bad(predicate: str, path: KeyPath = ()) -> PydanticCustomError:
    """The error of a value that `predicate` ("must be …") does not hold of; `path` where it is elsewhere."""
    return PydanticCustomError("setting", "{predicate}", {"predicate": predicate, "path": path})


def _in_one_spelling(spell: Callable[[str], str]) -> AfterValidator:
    """Takes what `spell` makes of a value; the ValueError that it raises says what the value must be."""

    def checked(value: str) -> str:
        try:
            return spell(value)
        except ValueError as error:
            raise _bad(str(error)) from None

    return AfterValidator(checked)


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _not_reserved(value: str) -> str:
    if value in RESERVED_EVENT_TYPES:
        raise _bad(f"must not be the name of a control event ({', '.join(sorted(RESERVED_EVENT_TYPES))})")
    return value


def _free_member(value: str) -> str:
    if value in QUERY_PARAMETERS:
        raise _bad("must not be a query parameter of the protocol")
    if value in EVENT_MEMBERS:
        raise _bad("must not be a member that every event has")
    return value


def _pointer(value: str) -> str:
    if not _POINTER.match(value):
        raise _bad('must be a JSON pointer such as "/docs", or "" for the whole body')
    return value


def _ignored(value: str) -> str:
    if not value or not _POINTER.match(value):
        raise _bad('must be a JSON pointer into an item such as "/updatedAt", where * is any one step')
    return value


def _unordered(value: str) -> str:
    if not value or not _POINTER.match(value):
        raise _bad('must be a JSON pointer to a list of an item such as "/tags", where * is any one step')
    return value


def _route_path(value: str) -> str:
    if not _PATH.match(value) or "//" in value or {".", ".."} & set(value.split("/")):
        raise _bad('must be a plain path that starts with "/", such as "/api/v1/orders"')
    for own in OWN_PATHS:
        if value == own or value.startswith(own + "/"):
            raise _bad(f"must not be {own} or lie under it, which the gateway answers itself")
    return value


def _upstream(value: str) -> str:
    allowed = "must be a URL of http:// or https:// with a host, such as http://127.0.0.1:9000/orders"
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise _bad(allowed) from None
    if parts.scheme not in ("http", "https") or not host or _UNPRINTABLE.search(value):
        raise _bad(allowed)
    if "@" in parts.netloc:
        raise _bad("must not hold a user name or a password")
    if "#" in value:
        raise _bad("must not have a fragment (#…)")
    return value


SQLITE = "sqlite:///"
"""What the path of an SQLite log follows: a further slash makes it absolute."""


class LogKind(NamedTuple):
    """One kind of log. Its URLs begin with one of `schemes`; where there is none, `example` is the only URL.

    `is_in_server`: other nodes may share it, and what they share beside it, the flags too, can be kept there.
    """

    schemes: tuple[str, ...]
    example: str
    is_in_server: bool


LOGS: Mapping[str, LogKind] = {
    "memory": LogKind((), "memory://", False),
    "sqlite": LogKind((SQLITE,), f"{SQLITE}path", False),
    "postgres": LogKind(("postgres://", "postgresql://"), "postgres://host/name", True),
    "redis": LogKind(
        ("redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://"), "redis://host", True
    ),
}
"""Every kind of log, by name; gateway/service/wiring/logs.py opens them."""

_SERVERS = tuple(name for name, kind in LOGS.items() if kind.is_in_server)


def _either(texts: Iterable[str]) -> str:
    *others, last = texts
    return f"{', '.join(others)} or {last}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _log_kind(url: str) -> str:
    for name, kind in LOGS.items():
        if url == kind.example or url.startswith(kind.schemes):
            return name
    only, *others = (kind.example for kind in LOGS.values())
    raise _bad(f"must be {only}, or a URL such as {_either(others)}")


def _log_url(value: str) -> str:
    _log_kind(value)
    path = value.removeprefix(SQLITE)
    if path == ":memory:":
        raise _bad("must be memory:// where nothing is to last")
    if path != value and (not path or _NOT_IN_PATH.search(path)):
        raise _bad("must have the path of a file after sqlite:///, without ?, #, % and control characters")
    return value


def _text(description: str, **limits: Any) -> Any:
    return Field(strict=True, description=description, **limits)


def _number(unit: str, low: float, high: float) -> Any:
    return Field(
        strict=True, ge=low, le=high, allow_inf_nan=False, description=f"{unit} from {low} to {high}"
    )


def _integer(unit: str, low: int, high: int) -> Any:
    return Field(strict=True, ge=low, le=high, description=f"{unit} from {low} to {high}")


_ALPHABET = "A-Z a-z 0-9 _ . -"

Port = Annotated[int, _integer("an integer", 0, 65535)]
Count = Annotated[int, _integer("an integer", 1, 10_000_000)]
Bytes = Annotated[int, _integer("a number of bytes, an integer", 1, 2**40)]
Milliseconds = Annotated[int, _integer("a number of milliseconds, an integer", 1, 3_600_000)]
Seconds = Annotated[float, _number("a number of seconds", 0.01, 31_536_000)]
SecondsFromZero = Annotated[float, _number("a number of seconds", 0, 31_536_000)]
Name = Annotated[str, _text(f"a name (1 to 64 of {_ALPHABET})", pattern=_NAME)]
EventType = Annotated[
    str, _text(f"an event type (1 to 64 of {_ALPHABET})", pattern=_NAME), AfterValidator(_not_reserved)
]
Member = Annotated[str, _text("the name of a member, 1 to 256 characters", min_length=1, max_length=256)]


HostName = Annotated[
    str,
    _text(
        "a host's name in lower case, without a port, such as shop.example",
        pattern=_HOST_NAME,
        max_length=253,
    ),
]

Origin = Annotated[str, _text("an origin such as https://app.shop.example"), _in_one_spelling(origin)]
Network = Annotated[str, _text("an address or a network such as 127.0.0.1/32"), _in_one_spelling(network)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """`[server]`. Port 0 takes any free one. `drain_seconds` is the longest that an orderly end may take.

    `hosts` are names by which the gateway may be called, beside those of loopback; without them, those of
    loopback where it is bound to loopback, else any. `trusted_proxies` are believed when they say for whom
    they ask. `ready_needs_upstreams`: an upstream that fails makes the gateway unready.
    """

    host: Annotated[str, _text("the name or address of this machine", min_length=1)] = "127.0.0.1"
    port: Port = 8080
    workers: Annotated[int, _integer("an integer", 1, 1024)] = 1
    drain_seconds: SecondsFromZero = 10.0
    hosts: Annotated[tuple[HostName, ...], Field(description='a list of names such as ["shop.example"]')] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Field(description='a list of addresses and networks such as ["127.0.0.1/32"]'),
        AfterValidator(_each_once),
    ] = ()
    ready_needs_upstreams: Annotated[bool, Field(strict=True, description="true or false")] = False

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names beside those of loopback by which it may be called; None for any."""
        return self.hosts if self.hosts or _is_loopback(self.host) else None


class CorsSettings(_Section):
    """`[cors]`: the origins whose pages may read the gateway's answers, and write (Fetch standard, CORS)."""

    origins: Annotated[
        tuple[Origin, ...],
        Field(description='a list of origins such as ["https://app.shop.example"]'),
        AfterValidator(_each_once),
    ] = ()


class LogSettings(_Section):
    """`[log]`: where the ordered log of events lives, and how much of it a durable one keeps.

    The log in memory keeps what `[history]` says. `notify` and `bookkeeping_seconds` are for Postgres:
    whether appending wakes the readers with NOTIFY, and how often the log notes in its tables what was
    pushed; 0: never.
    """

    url: Annotated[str, _text("a URL such as memory://"), AfterValidator(_log_url)] = "memory://"
    max_events: Annotated[int, _integer("an integer", 1, 1_000_000_000)] = 1_000_000
    max_age_seconds: Seconds = 604_800.0
    notify: Annotated[bool, Field(strict=True, description="true or false")] = True
    bookkeeping_seconds: SecondsFromZero = 0.0

    @property
    def kind(self) -> str:
        """Which of LOGS the URL means. Raises ValueError for one that none of them has."""
        return _log_kind(self.url)

    @property
    def is_in_server(self) -> bool:
        """Whether the log is in a server, where other nodes may share it."""
        return LOGS[self.kind].is_in_server


class HistorySettings(_Section):
    """`[history]`: the bounds of this node's in-memory ring; whichever is reached first trims it."""

    max_events: Count = 10_000
    max_age_seconds: Seconds = 3600.0
    max_bytes: Bytes = 67_108_864


class StreamSettings(_Section):
    """`[stream]`: the pace of every stream, and when a reader that does not read is closed."""

    heartbeat_seconds: Seconds = 15.0
    retry_ms: Milliseconds = 2000
    coalesce_ms: Annotated[float, _number("a number of milliseconds", 0, 1000)] = 5.0
    write_buffer_bytes: Bytes = 65_536
    stall_seconds: Seconds = 30.0
    compression: Annotated[Literal["none", "gzip"], Field(description='"none" or "gzip"')] = "none"


class HintsSettings(_Section):
    """`[hints]`: the pace of refresh hints, and how many entities of a type have hints of their own."""

    debounce_ms: Milliseconds = 500
    max_wait_ms: Milliseconds = 2000
    fan_in: Count = 50


class PublishSettings(_Section):
    """`[publish]`: how much may be published at once."""

    max_event_bytes: Bytes = 65_536
    max_request_bytes: Bytes = 1_048_576
    max_batch: Count = 1000


class FlagsSettings(_Section):
    """`[flags]`: the migration's flags, in a file or in the log's server.

    A file is relative to the configuration file.
    """

    store: Annotated[
        str,
        _text(
            f"a file such as file:flags.json, or {_either(map(_quoted, _SERVERS))} where the log is there",
            pattern=re.compile(rf"\A(file:[^\0\r\n]+|{'|'.join(_SERVERS)})\Z"),
        ),
    ] = "file:flags.json"


class AuthSettings(_Section):
    """`[auth]`: who may do what (docs/protocol.md, section 9)."""

    mode: Annotated[Literal["none", "jwt"], Field(description='"none" or "jwt"')] = "none"


class EntitySettings(_Section):
    """`[entities.NAME]`: a further member and query parameter that stands for the id of this entity type."""

    id_alias: Annotated[
        str, _text(f"a member's name (1 to 64 of {_ALPHABET})", pattern=_NAME), AfterValidator(_free_member)
    ]


class ComponentSettings(_Section):
    """`[components.NAME]`: entity types that this component owns, beside those of its legacy routes."""

    entities: Annotated[tuple[Name, ...], Field(description="a list of entity types")]


class ParitySettings(_Section):
    """`[legacy.parity]`: what comparing the polled list with the pushed events overlooks, and remembers.

    Without `settle_seconds` it is twice the route's interval, and at least 2: so that two polls that follow
    one another fall into one window, and that a publisher may take longer than a fast poll.
    """

    ignore: Annotated[
        tuple[Annotated[str, _text("a JSON pointer"), AfterValidator(_ignored)], ...],
        Field(description="a list of JSON pointers into an item"),
    ] = ()
    unordered: Annotated[
        tuple[Annotated[str, _text("a JSON pointer"), AfterValidator(_unordered)], ...],
        Field(description="a list of JSON pointers to lists of an item"),
    ] = ()
    numeric_tolerance: Annotated[float, _number("a number", 0, 1_000_000_000)] = 0.0
    settle_seconds: Annotated[float | None, _number("a number of seconds", 0.01, 31_536_000)] = None
    merge: Annotated[bool, Field(strict=True, description="true or false")] = False
    keep_values: Annotated[bool, Field(strict=True, description="true or false")] = False

    def settle_of(self, interval_seconds: float) -> float:
        """The settle window of a route that is polled so often."""
        return max(2.0, 2 * interval_seconds) if self.settle_seconds is None else self.settle_seconds


class LegacySettings(_Section):
    """`[[legacy]]`: one route that pollers call today (docs/protocol.md, section 7)."""

    component: Name
    path: Annotated[str, _text("a path"), AfterValidator(_route_path)]
    upstream: Annotated[str, _text("a URL"), AfterValidator(_upstream)]
    # The longest event type made of it is entity_created.
    entity: Annotated[str, _text(f"an entity type (1 to 56 of {_ALPHABET})", pattern=_NAME, max_length=56)]
    items: Annotated[str, _text("a JSON pointer"), AfterValidator(_pointer)] = ""
    key: Member
    interval_seconds: Seconds = 2.0
    timeout_seconds: Seconds = 10.0
    max_body_bytes: Bytes = 16_777_216
    stale_if_error_seconds: SecondsFromZero = 300.0
    max_delete_ratio: Annotated[float, _number("a number", 0, 1)] = 0.5
    shared: Annotated[bool, Field(strict=True, description="true or false")] = False
    events: Annotated[Literal["poll", "external"], Field(description='"poll" or "external"')] = "poll"
    changes: Annotated[
        Mapping[Member, EventType], Field(description="a table of members and the event types they give")
    ] = {}
    parity: ParitySettings = ParitySettings()


class Settings(_Section):
    """Everything that can be set; frozen. Made by `gateway.config.load_settings`."""

    server: ServerSettings = ServerSettings()
    cors: CorsSettings = CorsSettings()
    log: LogSettings = LogSettings()
    history: HistorySettings = HistorySettings()
    stream: StreamSettings = StreamSettings()
    hints: HintsSettings = HintsSettings()
    publish: PublishSettings = PublishSettings()
    flags: FlagsSettings = FlagsSettings()
    auth: AuthSettings = AuthSettings()
    entities: Annotated[
        Mapping[Name, EntitySettings], Field(description="a table with one [entities.NAME] a type")
    ] = {}
    components: Annotated[
        Mapping[Name, ComponentSettings], Field(description="a table with one [components.NAME] each")
    ] = {}
    legacy: Annotated[
        tuple[LegacySettings, ...],
        Field(description="a list of tables, one a route: [[legacy]] in a file, JSON in TIDEGATE_LEGACY"),
    ] = ()

    _base_dir: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def base_dir(self) -> Path:
        """The directory that files named in the configuration are relative to; absolute."""
        return self._base_dir

    def model_post_init(self, context: Any) -> None:
        """Takes `base_dir` out of the validation context, where one is given."""
        if isinstance(context, Mapping):
            self._base_dir = context["base_dir"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for path, predicate in _contradictions(self):
            raise _bad(predicate, path)
        return self


class _NotYet(NamedTuple):
    path: KeyPath
    available: Callable[[Any], bool]
    allowed: str


_NOT_YET = (_NotYet(("auth", "mode"), lambda mode: mode == "none", '"none"'),)
"""Values that the protocol knows and this version has not: everything but the `allowed` one."""


def _contradictions(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """The places where values that are fine alone do not go together, each with its "must be …"."""
    if settings.stream.compression == "gzip" and settings.auth.mode != "none":
        yield (
            ("stream", "compression"),
            f'must be "none" with auth.mode "{settings.auth.mode}": what callers may see differs then, and '
            "the length of what is compressed tells whoever can publish something of what others receive",
        )
    for path, available, allowed in _NOT_YET:
        section, key = path
        if not available(getattr(getattr(settings, str(section)), str(key))):
            yield path, f"must be {allowed}: nothing else is available in this version"
    if settings.auth.mode == "none" and not _is_loopback(settings.server.host):
        yield (
            ("server", "host"),
            "must be a loopback address (127.0.0.0/8, ::1 or localhost), because without authentication "
            '(auth.mode = "none") the gateway serves this machine only',
        )
    if settings.server.workers > 1 and not settings.log.is_in_server:
        yield (
            ("server", "workers"),
            f"must be 1 with log.url {settings.log.url}, which is of one process: several workers need a log "
            f"that they share, {_either(LOGS[name].schemes[0] for name in _SERVERS)}",
        )
    store = settings.flags.store
    if store in _SERVERS and settings.log.kind != store:
        yield (
            ("flags", "store"),
            f"must be a file such as file:flags.json where log.url is not {store}://: no server but the "
            "log's own can keep the flags",
        )
    aliases: dict[str, str] = {}
    for name, entity in settings.entities.items():
        other = aliases.setdefault(entity.id_alias, name)
        if other != name:
            yield ("entities", name, "id_alias"), f"must not be the id alias of another type ({other})"
    paths: dict[str, int] = {}
    for index, route in enumerate(settings.legacy):
        first = paths.setdefault(route.path, index)
        if first != index:
            yield ("legacy", index, "path"), f"must not be the path of another route (legacy[{first}])"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
