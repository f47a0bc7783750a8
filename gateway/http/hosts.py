"""By which names the gateway may be called, and which pages may change something.

Without these two rules every web page that a user of this machine opens could read and publish everything:
its name can be made to point at 127.0.0.1 (DNS rebinding), and a form of any site may be sent here.
"""

import functools
import ipaddress
import re
from collections.abc import Collection

from aiohttp import hdrs

from gateway.core.errors import BadHost, ForeignOrigin, MisdirectedRequest
from gateway.http.request_head import RequestHead

OPEN_PATH = "/healthz"
"""What answers whoever asks: it says nothing, and health checks call it by any name."""

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_OWN_PORTS = {"http": ":80", "https": ":443"}
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?"
_HOST = re.compile(rf"(?P<name>{_NAME}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{0,5}})?\Z", re.ASCII)
_TARGET = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)")


class Hosts:
    """The names that the gateway answers to, and the pages that may change something.

    `names` are those that count beside those of loopback and those without a dot, in lower case; None for any
    name. `origins` are those whose pages may write beside the gateway's own.
    """

    def __init__(self, names: Collection[str] | None, origins: Collection[str] = ()) -> None:
        self._allowed = None if names is None else frozenset(names)
        self._origins = frozenset(origins)

    def check(self, request: RequestHead) -> None:
        """Refuses requests by another name, and writes that a page of another site sent.

        Raises MisdirectedRequest (RFC 9110, section 15.5.20), BadHost and ForeignOrigin.
        """
        if is_open(request):
            return
        host = host_of(request)
        if host is not None and self._allowed is not None and not _is_allowed(host, self._allowed):
            raise MisdirectedRequest(
                "The gateway does not answer to this name: call it by another, or add it to server.hosts."
            )
        # A write that a page sends says so with `Origin` (Fetch standard); one without is a program's.
        if hdrs.ORIGIN in request.headers and request.method not in READS and not self.vouch_for(request):
            raise ForeignOrigin(
                "Pages of other sites may change nothing here (Origin): add theirs to cors.origins."
            )

    def vouch_for(self, request: RequestHead) -> bool:
        """Whether a page that may write sent the request: `Origin` is there, and names such a one."""
        origins = request.headers.getall(hdrs.ORIGIN, ())
        return bool(origins) and all(self._may_write(origin, host_of(request)) for origin in origins)

    def _may_write(self, origin: str, host: str | None) -> bool:
        return origin in self._origins or (host is not None and is_own_origin(origin, host))


def is_open(request: RequestHead) -> bool:
    """Whether it is OPEN_PATH that answers the request: another path may be called so too, below a route."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical == OPEN_PATH


def host_of(request: RequestHead) -> str | None:
    """The host and port that the request names; None for one of HTTP/1.0 that names none.

    An absolute target overrules `Host` (RFC 9112, section 3.2.2). Raises BadHost where what it names is no
    host. Two fields, or none with HTTP/1.1, are refused by aiohttp (section 3.2).
    """
    given = request.headers.get(hdrs.HOST)
    host = None if given is None else _valid(given)
    raw_path = request.raw_path
    target = None if raw_path.startswith("/") else _TARGET.match(raw_path)
    return host if target is None else _valid(target["authority"])


def name_of(host: str) -> str:
    """The name or address of a host with its port, in lower case and without a final dot."""
    match = _HOST.match(host)
    assert match is not None, "host_of gave it"
    return match["name"].lower().removesuffix(".")


def is_own_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` came from this very address (RFC 6454), by http or https.

    Which of the two is for a proxy in front to know. A scheme's own port is the same as none: browsers leave
    it out, and a proxy may add it to `Host`.
    """
    scheme, found, at = origin.lower().partition("://")
    port = _OWN_PORTS.get(scheme)
    return bool(found) and port is not None and at.removesuffix(port) == host.lower().removesuffix(port)


@functools.lru_cache(maxsize=1024)
def _valid(host: str) -> str:
    if not _HOST.match(host):
        raise BadHost("Host must be a name or address, and may have a port.")
    return host


@functools.lru_cache(maxsize=1024)
def _is_allowed(host: str, allowed: frozenset[str]) -> bool:
    name = name_of(host)
    # No page of the internet has a name without a dot: such names are of this machine or network.
    return name in allowed or is_loopback(name) or ("." not in name and ":" not in name)


def is_loopback(name: str) -> bool:
    """Whether a name or address, with brackets or without, is one of loopback."""
    try:
        address = ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return name.lower().removesuffix(".") == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
