"""Which addresses are one client's. Pure."""

import functools
import ipaddress

_NETWORK_BITS = 64
"""Of an address of IPv6: what a client is given mostly is such a network, of which it takes what it likes."""


@functools.lru_cache(maxsize=4096)
def network_of(address: str | None) -> str | None:
    """What limits by address go by, and evidence: one of IPv4 as it is, one of IPv6 by its first 64 bits.

    An address of IPv4 that is written as one of IPv6 is what it stands for; what is no address counts as it
    is. None where there is none.
    """
    if address is None or ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, _NETWORK_BITS), strict=False))
