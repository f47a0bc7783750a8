"""Where a Redis is: what a URL says."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.core.errors import LogError

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379
DEFAULT_PREFIX = "tidegate"
_FORMS = (
    "redis://[user:password@]host[:port][/database], rediss:// for TLS, or "
    "redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/database]"
)
_SCHEMES = {"redis": (False, False), "rediss": (True, False)}
_SCHEMES |= {"redis+sentinel": (False, True), "rediss+sentinel": (True, True)}
_OPTIONS = frozenset({"prefix", "relayed", "ca_file", "sentinel_user", "sentinel_password"})


@dataclass(frozen=True)
class Address:
    """One Redis server, or the Sentinels that know which server is the master now.

    `prefix` begins the name of every key. `is_relayed` says that a relay fills the log: it is never begun
    without one. `ca_file` names the certificates that TLS trusts; None: the machine's. `master` is the name
    that Sentinel knows, None without Sentinel; the Sentinels have a user and a password of their own.
    """

    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    ca_file: str | None = None
    prefix: str = DEFAULT_PREFIX
    is_relayed: bool = False
    master: str | None = None
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """The address that `url` writes. Raises LogError, which never shows the password."""
        try:
            return cls._parse(url)
        except ValueError as error:
            raise LogError(f"The URL of Redis is wrong: {error}. It is {_FORMS}.") from None

    @classmethod
    def _parse(cls, url: str) -> Self:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"there is no scheme {parts.scheme!r}")
        if parts.fragment:
            raise ValueError("it has a fragment; write # as %23 in a password")
        is_tls, is_sentinel = _SCHEMES[parts.scheme]
        credentials, _, hosts = parts.netloc.rpartition("@")
        user, _, password = credentials.partition(":")
        options = _options(parts.query, is_tls=is_tls, is_sentinel=is_sentinel)
        is_relayed = options.pop("relayed", None) is not None
        path = [unquote(step) for step in parts.path.split("/")[1:]]
        while path and not path[-1]:
            path.pop()
        master = path.pop(0) if is_sentinel and path else None
        if is_sentinel and not master:
            raise ValueError("the name of Sentinel's master is missing")
        default_port = DEFAULT_SENTINEL_PORT if is_sentinel else DEFAULT_PORT
        return cls(
            hosts=_hosts(hosts, default_port, several=is_sentinel),
            database=_database(path),
            user=unquote(user) or None,
            password=unquote(password) or None,
            is_tls=is_tls,
            is_relayed=is_relayed,
            master=master,
            **options,
        )

    def __str__(self) -> str:
        """For people: without user and password."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return hosts if self.master is None else f"{self.master} at the Sentinels {hosts}"


def _hosts(text: str, default_port: int, *, several: bool) -> tuple[tuple[str, int], ...]:
    hosts = []
    for one in text.split(","):
        parts = urlsplit(f"//{one}")
        if not parts.hostname:
            raise ValueError("a host is missing")
        hosts.append((parts.hostname, default_port if parts.port is None else parts.port))
    if len(hosts) > 1 and not several:
        raise ValueError("it names several hosts, which only Sentinels may be")
    return tuple(hosts)


def _database(path: list[str]) -> int:
    if not path:
        return 0
    if len(path) > 1 or not (path[0].isascii() and path[0].isdigit()):
        raise ValueError("the database is a number")
    return int(path[0])


def _options(query: str, *, is_tls: bool, is_sentinel: bool) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ValueError(f"there is no option {min(unknown)!r}")
    if empty := [name for name, value in options.items() if not value]:
        raise ValueError(f"the option {empty[0]} is empty")
    if options.get("relayed", "yes") != "yes":
        raise ValueError("the option relayed is yes, or left out")
    if "ca_file" in options and not is_tls:
        raise ValueError("the option ca_file is for TLS only")
    if not is_sentinel and any(name.startswith("sentinel") for name in options):
        raise ValueError("the options of Sentinel are for its URLs only")
    return options
