"""What can be set, by section. Where the values come from is config.py's business.

Names, sections and defaults are those of docs/protocol.md, sections 7 and 12. Every field carries what is
allowed as its `description`: the end of a sentence that begins "… must be". The checks that need more than
one value are in `_contradictions`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from gateway.service.grant_settings import (
    AnonymousSettings,
    RuleSettings,
    StaticKeySettings,
    repeated_keys,
)
from gateway.service.legacy_settings import LegacySettings, contradictions
from gateway.service.log_kinds import LOGS, SERVERS, either, log_kind, log_url, quoted
from gateway.service.setting_types import (
    WITH_SECRETS,
    Bytes,
    CookieName,
    Count,
    HostName,
    IdAlias,
    JwksUrl,
    KeyPath,
    Milliseconds,
    Name,
    Network,
    Origin,
    Port,
    Seconds,
    SecondsFromZero,
    Secret,
    each_once,
    integer,
    is_loopback,
    number,
    text,
    wrong,
)

_Bound = Annotated[int, integer("an integer", 0, 100_000_000)]
_HeadBytes = Annotated[int, integer("a number of bytes, an integer", 1024, 1_048_576)]
_PerSecond = Annotated[float, number("a number", 0, 100_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """`[server]`. Port 0 takes any free one. `drain_seconds` is the longest that an orderly end may take.

    `hosts` are names by which the gateway may be called, beside those of loopback; without them, those of
    loopback where it is bound to loopback, else any. `trusted_proxies` are believed when they say for whom
    they ask. `ready_needs_upstreams`: an upstream that fails makes the gateway unready.
    """

    host: Annotated[str, text("the name or address of this machine", min_length=1)] = "127.0.0.1"
    port: Port = 8080
    workers: Annotated[int, integer("an integer", 1, 1024)] = 1
    drain_seconds: SecondsFromZero = 10.0
    hosts: Annotated[tuple[HostName, ...], Field(description='a list of names such as ["shop.example"]')] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Field(description='a list of addresses and networks such as ["127.0.0.1/32"]'),
        AfterValidator(each_once),
    ] = ()
    ready_needs_upstreams: Annotated[bool, Field(strict=True, description="true or false")] = False

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names beside those of loopback by which it may be called; None for any."""
        return self.hosts if self.hosts or is_loopback(self.host) else None


class CorsSettings(_Section):
    """`[cors]`: the origins whose pages may read the gateway's answers, and write (Fetch standard, CORS)."""

    origins: Annotated[
        tuple[Origin, ...],
        Field(description='a list of origins such as ["https://app.shop.example"]'),
        AfterValidator(each_once),
    ] = ()


class LogSettings(_Section):
    """`[log]`: where the ordered log of events lives, and how much of it a durable one keeps.

    The log in memory keeps what `[history]` says. `notify` and `bookkeeping_seconds` are for Postgres:
    whether appending wakes the readers with NOTIFY, and how often the log notes in its tables what was
    pushed; 0: never.
    """

    url: Annotated[str, text("a URL such as memory://"), AfterValidator(log_url)] = "memory://"
    max_events: Annotated[int, integer("an integer", 1, 1_000_000_000)] = 1_000_000
    max_age_seconds: Seconds = 604_800.0
    notify: Annotated[bool, Field(strict=True, description="true or false")] = True
    bookkeeping_seconds: SecondsFromZero = 0.0

    @property
    def kind(self) -> str:
        """Which of LOGS the URL means. Raises ValueError for one that none of them has."""
        return log_kind(self.url)

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
    coalesce_ms: Annotated[float, number("a number of milliseconds", 0, 1000)] = 5.0
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


class LimitsSettings(_Section):
    """`[limits]`: how much callers may have of one process at once; 0 for as much as they like.

    `publish_per_second` counts events, of a subject or static key, else of an address, and so do
    `presence_per_second` and `broadcasts_per_second` what is said in channels. `replays` are the
    streams for which the log is read at a time. `url_bytes`, `head_bytes` and `head_fields` are of every
    request's head, `body_bytes` is of the bodies by which operators change something.
    """

    streams: _Bound = 0
    streams_per_subject: _Bound = 1000
    streams_per_address: _Bound = 0
    opens_per_second: _PerSecond = 0.0
    publish_per_second: _PerSecond = 0.0
    presence_per_second: _PerSecond = 50.0
    broadcasts_per_second: _PerSecond = 100.0
    replays: Annotated[int, integer("an integer", 1, 1024)] = 4
    url_bytes: _HeadBytes = 16_384
    head_bytes: _HeadBytes = 32_768
    head_fields: Annotated[int, integer("an integer", 16, 10_000)] = 256
    body_bytes: Bytes = 1_048_576


class AuditSettings(_Section):
    """`[audit]`: how much is kept of who published, changed something or was refused.

    `max_entries` are of each of these kinds, so that none pushes another out.
    """

    max_entries: Annotated[int, integer("an integer", 1, 10_000_000)] = 100_000
    max_age_seconds: Seconds = 7_776_000.0


class FlagsSettings(_Section):
    """`[flags]`: the migration's flags, in a file or in the log's server.

    A file is relative to the configuration file.
    """

    store: Annotated[
        str,
        text(
            f"a file such as file:flags.json, or {either(map(quoted, SERVERS))} where the log is there",
            pattern=re.compile(rf"\A(file:[^\0\r\n]+|{'|'.join(SERVERS)})\Z"),
        ),
    ] = "file:flags.json"
    session_cookie: Annotated[bool, Field(strict=True, description="true or false")] = True


class AuthSettings(_Section):
    """`[auth]`: who may do what (docs/protocol.md, section 9)."""

    mode: Annotated[Literal["none", "jwt"], Field(description='"none" or "jwt"')] = "none"
    secret: Secret = None
    public_key_file: Annotated[
        str | None, text("the path of a file in PEM", pattern=re.compile(r"\A[^\0\r\n]+\Z"))
    ] = None
    jwks_url: JwksUrl = None
    audience: Annotated[str | None, text("what a token's aud has to name", min_length=1)] = None
    issuer: Annotated[str | None, text("what a token's iss has to be", min_length=1)] = None
    cookie: CookieName = None
    query_token: Annotated[bool, Field(strict=True, description="true or false")] = False
    leeway_seconds: Annotated[float, number("a number of seconds", 0, 3600)] = 30.0
    grants: Annotated[
        tuple[RuleSettings, ...], Field(description="a list of tables, one a rule: [[auth.grants]] in a file")
    ] = ()
    keys: Annotated[
        tuple[StaticKeySettings, ...],
        Field(description="a list of tables, one a static key: [[auth.keys]] in a file"),
    ] = ()
    anonymous: Annotated[AnonymousSettings | None, Field(description="a table, [auth.anonymous]")] = None

    @property
    def key_sources(self) -> tuple[str, ...]:
        """Which of the settings that say how tokens are checked are there."""
        sources = {
            "secret": self.secret,
            "public_key_file": self.public_key_file,
            "jwks_url": self.jwks_url,
        }
        return tuple(name for name, value in sources.items() if value is not None)


class EntitySettings(_Section):
    """`[entities.NAME]`: a further member and query parameter that stands for the id of this entity type."""

    id_alias: IdAlias


class ComponentSettings(_Section):
    """`[components.NAME]`: entity types that this component owns, beside those of its legacy routes."""

    entities: Annotated[tuple[Name, ...], Field(description="a list of entity types")]


class Settings(_Section):
    """Everything that can be set; frozen. Made by `gateway.config.load_settings`."""

    server: ServerSettings = ServerSettings()
    cors: CorsSettings = CorsSettings()
    log: LogSettings = LogSettings()
    history: HistorySettings = HistorySettings()
    stream: StreamSettings = StreamSettings()
    hints: HintsSettings = HintsSettings()
    publish: PublishSettings = PublishSettings()
    limits: LimitsSettings = LimitsSettings()
    audit: AuditSettings = AuditSettings()
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

    def with_secrets(self) -> str:
        """JSON that these settings are read from again, for a process of the gateway's own alone."""
        return self.model_dump_json(context=WITH_SECRETS, exclude_unset=True)

    def model_post_init(self, context: Any) -> None:
        """Takes `base_dir` out of the validation context, where one is given."""
        if isinstance(context, Mapping):
            self._base_dir = context["base_dir"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for path, predicate in _contradictions(self):
            raise wrong(predicate, path)
        return self


def _contradictions(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """The places where values that are fine alone do not go together, each with its "must be …"."""
    if settings.stream.compression == "gzip" and settings.auth.mode != "none":
        yield (
            ("stream", "compression"),
            f'must be "none" with auth.mode "{settings.auth.mode}": what callers may see differs then, and '
            "the length of what is compressed tells whoever can publish something of what others receive",
        )
    sources = settings.auth.key_sources
    if len(sources) > 1:
        yield (
            ("auth", sources[1]),
            f"must not be set beside auth.{sources[0]}: tokens are checked with one of them",
        )
    if settings.auth.mode == "jwt" and not sources and not settings.auth.keys:
        yield (
            ("auth", "mode"),
            'must be "none" where none of auth.secret, auth.public_key_file and auth.jwks_url says how to '
            "check a token: set one of them",
        )
    yield from repeated_keys(settings.auth.keys)
    if settings.auth.mode == "none" and not is_loopback(settings.server.host):
        yield (
            ("server", "host"),
            "must be a loopback address (127.0.0.0/8, ::1 or localhost), because without authentication "
            '(auth.mode = "none") the gateway serves this machine only',
        )
    if settings.server.workers > 1 and not settings.log.is_in_server:
        yield (
            ("server", "workers"),
            f"must be 1 with log.url {settings.log.url}, which is of one process: several workers need a log "
            f"that they share, {either(LOGS[name].schemes[0] for name in SERVERS)}",
        )
    store = settings.flags.store
    if store in SERVERS and settings.log.kind != store:
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
    yield from _between_routes(settings.legacy)


def _between_routes(routes: tuple[LegacySettings, ...]) -> Iterator[tuple[KeyPath, str]]:
    paths: dict[str, int] = {}
    makers: dict[str, int] = {}
    for index, route in enumerate(routes):
        for path, predicate in contradictions(route):
            yield ("legacy", index, *path), predicate
        first = paths.setdefault(route.pattern, index)
        if first != index:
            yield ("legacy", index, "path"), f"must not be the path of another route (legacy[{first}])"
        if route.shared and route.events == "poll":
            maker = makers.setdefault(route.entity, index)
            if maker != index:
                yield (
                    ("legacy", index, "entity"),
                    f"must not be the entity of another route that makes events (legacy[{maker}]): to each, "
                    "what the other lists would be gone. If both are parts of one list, name this upstream "
                    'in also of that route; if this one only serves, set events = "none"',
                )
