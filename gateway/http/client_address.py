"""Who sent a request, where proxies pass it on: `Forwarded` (RFC 7239) and `X-Forwarded-*`.

Whoever sends a request writes into these fields what it likes. So they are believed of trusted proxies alone,
and from the right: each says who asked it, and the first that is not trusted is the client.
"""

import functools
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from aiohttp import hdrs
from multidict import CIMultiDict, MultiMapping

from gateway.core.header_fields import text_of
from gateway.http.request_head import RequestHead

FORWARDED_FOR = "X-Forwarded-For"
FORWARDED_HOST = "X-Forwarded-Host"
FORWARDED_PROTO = "X-Forwarded-Proto"

MAX_HOPS = 32
"""How many addresses of a chain are looked at, from the right."""
MAX_CHARACTERS = 4096
"""How much of `Forwarded` is read, in whole lines from the right."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Fields = list[tuple[str, str]]

# RFC 7239, section 6, and what proxies write that do not quote.
_NODE = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+))(?::(?:[0-9]{1,5}|_[\w.-]+))?\Z", re.ASCII)
_PAIR = re.compile(
    r"[ \t]*(?:(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s;,"]+)))?[ \t]*(?P<end>[;,]|\Z)',
    re.ASCII,
)
_SCHEMES = frozenset({"http", "https"})
_CHAINS = frozenset({"forwarded", "x-forwarded-for"})


class Hop(NamedTuple):
    """What a proxy says of whom it asks for: `address` is None where that is hidden, or is none."""

    address: _Address | None
    proto: str | None = None
    host: str | None = None


class Clients:
    """Tells who sent a request. `trusted` are the networks of the proxies that are believed.

    `ignored` counts, where somebody was asked about: fields of a peer that is not trusted (`untrusted`), and
    chains that end in what is no address (`unreadable`), where the nearest address counts.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = tuple(ipaddress.ip_network(one) for one in trusted)
        self.ignored: Counter[str] = Counter()

    def address_of(self, request: RequestHead) -> str | None:
        """The client's address, the rightmost that is not trusted; None where there is no peer."""
        if not self._trusted:
            self._count_unbelieved(request)
            return request.remote
        peer = _address(request.remote)
        if peer is None or not self._is_believed(peer, request):
            return request.remote
        return [str(peer), *_addresses(self._believed(_hops(request.headers)))][-1]

    def is_https(self, request: RequestHead) -> bool:
        """Whether the client asked by https, as far as this gateway or a trusted proxy saw it."""
        peer = _address(request.remote)
        if peer is None or not self._is_trusted(peer):
            return request.scheme == "https"
        said = request.headers.get(FORWARDED_PROTO)
        if said is None and hdrs.FORWARDED in request.headers:
            believed = self._believed(_hops(request.headers))
            said = _said_of_client(believed[-1]).get(FORWARDED_PROTO) if believed else None
        # Proxies that add to it, as to X-Forwarded-For, have the client's first.
        return (said or request.scheme).partition(",")[0].strip().lower() == "https"

    def fields_for_upstream(self, request: RequestHead) -> _Fields:
        """The fields that tell an upstream who asked, in place of all of `is_of_forwarding` that came.

        What a trusted proxy said stays, with its own address added to the chain.
        """
        peer = _address(request.remote)
        added = {FORWARDED_PROTO: request.scheme, FORWARDED_HOST: text_of(request.host)}
        if peer is None or not self._is_believed(peer, request):
            who = [] if request.remote is None else [(FORWARDED_FOR, str(peer or request.remote))]
            return [*who, *added.items()]
        headers = CIMultiDict([field for field in request.headers.items() if is_of_forwarding(field[0])])
        forwarded: list[str] = []
        chain: list[str] = headers.getall(FORWARDED_FOR, [])
        if not chain and hdrs.FORWARDED in headers:
            hops = _hops(headers)
            believed = self._believed(hops)
            chain = _addresses(believed)[::-1]
            if believed:
                added |= _said_of_client(believed[-1])
            if not any(hop is _UNREADABLE for hop in hops):
                forwarded = [*headers.getall(hdrs.FORWARDED), f"for={_node(peer)}"]
        fields = [(FORWARDED_FOR, ", ".join([*filter(None, chain), str(peer)]))]
        fields += [(hdrs.FORWARDED, ", ".join(forwarded))] if forwarded else []
        fields += [(name, value) for name, value in headers.items() if name.lower() not in _CHAINS]
        return fields + [(name, value) for name, value in added.items() if name not in headers]

    def _is_believed(self, peer: _Address, request: RequestHead) -> bool:
        if self._is_trusted(peer):
            return True
        self._count_unbelieved(request)
        return False

    def _count_unbelieved(self, request: RequestHead) -> None:
        if FORWARDED_FOR in request.headers or hdrs.FORWARDED in request.headers:
            self.ignored["untrusted"] += 1

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)

    def _believed(self, hops: list[Hop]) -> list[Hop]:
        """The hops that trusted proxies named, the nearest first; the last one is the client.

        Of the hops that are given, those alone that count: one without an address ends them.
        """
        believed: list[Hop] = []
        for hop in reversed(hops):
            believed.append(hop)
            if hop.address is None:
                self.ignored["unreadable"] += 1
            if hop.address is None or not self._is_trusted(hop.address):
                break
        return believed


def is_of_forwarding(name: str) -> bool:
    """Whether a field is one by which proxies say for whom they ask."""
    lowered = name.lower()
    return lowered == "forwarded" or lowered.startswith("x-forwarded-")


_UNREADABLE = Hop(None)


def _hops(headers: MultiMapping[str]) -> list[Hop]:
    """The last hops of the chain, at most MAX_HOPS, in the order in which they were passed.

    X-Forwarded-For counts where both are there: most proxies add to it, and pass on what a caller says in
    Forwarded as it came.
    """
    lines = headers.getall(FORWARDED_FOR, ())
    if lines:
        members = [member.strip(" \t") for member in ",".join(lines).rsplit(",", MAX_HOPS)[-MAX_HOPS:]]
        return [Hop(_address(member)) for member in members if member]
    hops: list[Hop] = []
    room = MAX_CHARACTERS
    for line in reversed(headers.getall(hdrs.FORWARDED, ())):
        room -= len(line)
        hops[:0] = [_UNREADABLE] if room < 0 else _elements(line)
        if room < 0 or len(hops) >= MAX_HOPS:
            break
    return hops[-MAX_HOPS:]


def _elements(line: str) -> list[Hop]:
    """The elements of a line of Forwarded (RFC 7239, section 4); one unreadable hop where it is none."""
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    at = 0
    while True:
        match = _PAIR.match(line, at)
        name = None if match is None or match["name"] is None else match["name"].lower()
        if match is None or name in pairs:
            return [_UNREADABLE]
        if name is not None:
            quoted = match["quoted"]
            pairs[name] = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if match["end"] != ";":
            if pairs:
                hops.append(Hop(_address(pairs.get("for")), pairs.get("proto"), pairs.get("host")))
            pairs = {}
        if not match["end"]:
            return hops
        at = match.end()


@functools.lru_cache(maxsize=1024)
def _address(text: str | None) -> _Address | None:
    """The address that a node names, with or without a port; None for any other, such as `unknown`.

    An IPv4 address is one, however it is written: a socket that takes both kinds gives it as IPv6.
    """
    if text is None:
        return None
    match = _NODE.match(text)
    try:
        address = ipaddress.ip_address(
            text.partition("%")[0] if match is None else match["v6"] or match["v4"]
        )
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _addresses(hops: Iterable[Hop]) -> list[str]:
    return [str(hop.address) for hop in hops if hop.address is not None]


def _node(address: _Address) -> str:
    return f'"[{address}]"' if isinstance(address, ipaddress.IPv6Address) else str(address)


def _said_of_client(hop: Hop) -> dict[str, str]:
    """What the proxy that the client asked says of scheme and host."""
    said: dict[str, str] = {}
    if hop.proto is not None and hop.proto.lower() in _SCHEMES:
        said[FORWARDED_PROTO] = hop.proto.lower()
    if hop.host:
        said[FORWARDED_HOST] = text_of(hop.host)
    return said
