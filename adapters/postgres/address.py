"""Where a log in Postgres lives: its URL, taken apart."""

import asyncio
import re
import socket
from collections.abc import Mapping
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import parse_dsn

from gateway.core.errors import LogError

_DEFAULT_PORT = "5432"
_PORT = re.compile(r"([1-9][0-9]{0,4})?\Z", re.ASCII)
_UNREADABLE = (
    "The log's Postgres URL can't be read: it looks like postgres://user:password@host:5432/database, with %"
    " escapes in the password, a number for each port and no parameter that libpq does not know."
)


class Host(NamedTuple):
    """One server of a URL. `name` is empty or a directory's path where it listens on a socket."""

    name: str
    port: str

    @property
    def is_socket(self) -> bool:
        return not self.name or self.name.startswith(("/", "@"))


class Address(NamedTuple):
    """The servers of a URL, in its order, and libpq's other parameters, the password among them."""

    hosts: tuple[Host, ...]
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Takes a `postgres://` or `postgresql://` URL apart (libpq, section 34.1.1.2 of Postgres' manual).

        Raises LogError. It does not repeat the URL or libpq's words on it: both may hold the password.
        """
        if not url.startswith(("postgres://", "postgresql://")):
            raise LogError("The log's URL must begin with postgres:// or postgresql://.")
        try:
            parameters: dict[str, str] = parse_dsn(url)
        except psycopg2.Error:
            # Not chained: libpq quotes the part that it can't read, which may be the password.
            raise LogError(_UNREADABLE) from None
        names = (parameters.pop("hostaddr", "") or parameters.pop("host", "")).split(",")
        parameters.pop("host", None)
        ports = parameters.pop("port", "").split(",")
        if len(ports) not in (1, len(names)):
            raise LogError("The log's Postgres URL needs one port for all of its hosts, or one for each.")
        if not all(_PORT.match(port) for port in ports):
            raise LogError(_UNREADABLE)
        ports = ports * len(names) if len(ports) == 1 else ports
        # Whatever it says, only the server that takes writes can be the log: see `connect`.
        parameters.pop("target_session_attrs", None)
        hosts = tuple(Host(name, port or _DEFAULT_PORT) for name, port in zip(names, ports, strict=True))
        return cls(hosts, parameters)


async def resolve(host: Host) -> list[Mapping[str, str]]:
    """libpq's parameters for each of the host's addresses, in the resolver's order.

    aiopg connects to the first address only, and fails where that one is the wrong one, as with `localhost`
    as ::1 and 127.0.0.1. Raises OSError where the name can't be resolved.
    """
    if host.is_socket:
        return [{"host": host.name, "port": host.port} if host.name else {"port": host.port}]
    found = await asyncio.get_running_loop().getaddrinfo(host.name, int(host.port), type=socket.SOCK_STREAM)
    return [{"host": host.name, "hostaddr": str(address[4][0]), "port": host.port} for address in found]
