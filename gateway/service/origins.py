"""How settings name web pages and proxies: origins (RFC 6454) and networks, each in its one spelling.

What is no origin or no network is a ValueError, whose text is the end of a sentence: "must be …".
"""

import ipaddress
import re

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?\Z",
    re.ASCII,
)
_OWN_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_NO_ORIGIN = (
    "must be an origin as browsers send it, scheme://host or scheme://host:port in ASCII without a path, "
    "such as https://app.shop.example"
)
_NO_NETWORK = "must be an address or a network, such as 127.0.0.1/32 or 2001:db8::/32"


def origin(text: str) -> str:
    """`text` as a browser sends it in `Origin` (RFC 6454, section 6.2): lower case, no port that is usual.

    Raises ValueError where it is none, or stands for more than one.
    """
    if text == "*":
        raise ValueError(
            'must not be "*": name each origin, for whoever may read with a user\'s cookies must be known'
        )
    match = _ORIGIN.match(text.lower())
    if match is None:
        raise ValueError(_NO_ORIGIN)
    scheme, host = match["scheme"], _host(match["host"])
    if match["port"] is None:
        return f"{scheme}://{host}"
    port = int(match["port"])
    if not 0 < port < 65_536:
        raise ValueError(_NO_ORIGIN)
    return f"{scheme}://{host}" if port == _OWN_PORTS.get(scheme) else f"{scheme}://{host}:{port}"


def network(text: str) -> str:
    """`text`, an address or a network, as a network.

    Raises ValueError where it is none, where bits are set beyond its prefix, or where it is one of IPv4
    written as IPv6, under which nobody is looked for.
    """
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(_NO_NETWORK) from None
    address = text.partition("/")[0]
    if ipaddress.ip_address(address) != found.network_address:
        raise ValueError(f"must not have bits beyond its prefix: write {found} or {address}")
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise ValueError("must be written as IPv4, such as 127.0.0.1/32")
    return str(found)


def _host(host: str) -> str:
    """A host as browsers write it (URL standard, "host serializer"): addresses have one spelling there."""
    is_number = host.removesuffix(".").rpartition(".")[2].isdecimal()
    try:
        if host.startswith("["):
            return f"[{ipaddress.IPv6Address(host[1:-1])}]"
        return str(ipaddress.IPv4Address(host)) if is_number else host
    except ValueError:
        raise ValueError(_NO_ORIGIN) from None
