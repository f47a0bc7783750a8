"""A gzip member that a reader can join between any two payloads. Bytes in, bytes out; no I/O.

The body of a compressed stream is one member (RFC 1952): its HEADER, then for each payload a run of deflate
blocks (RFC 1951) that refers to nothing before it, ends on a byte boundary and is not the last. So a run
is made once, and is the same for every reader, whatever each of them was sent before.

The member is never finished. A trailer holds the checksum and length of all that one reader got, and keeping
those would be state for each stream; a wrong one would be an error. docs/protocol.md, section 4, says what
clients make of a member that stops.
"""

import struct
import zlib
from collections.abc import Callable

from cachetools import LRUCache

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no flags, no name, no time, an unknown system (RFC 1952, section 2.3)."""

SMALLEST = 256
"""Payloads below that are stored: a heartbeat or a `bye` saves a few bytes at best, and costs 10 µs."""

LARGEST = 262_144
"""Payloads above that are stored, for compressing one is not interrupted: 3 ms of text that hardly repeats.
A flush's payloads are smaller (delivery/live.py), unless `publish.max_event_bytes` allows larger events."""

# Measured with zlib 1.2.13 on events of 262 bytes, in µs (to about 30 %) and % of the size, for one event /
# 20 / 100 / 64 KiB:
#   level 1   14, 72 %   31, 14 %    71, 11 %    232, 10.5 %
#   level 6   16, 71 %   58, 13 %   225, 10 %    557,  9.1 %
#   level 9   12, 71 %   48, 13 %   385,  9 %   1514,  8.6 %
# What a flush says again, it says within a few hundred bytes, which the cheapest level finds as well. The
# other memory levels, and one compressor for all in place of a new one, differ by less than the noise.
_LEVEL = 1
_WITHOUT_HEADER = -zlib.MAX_WBITS
_MOST_STORED = 65_535

_KEPT = 16


def stored(payload: bytes) -> bytes:
    """`payload` in stored blocks: as it is, with 5 bytes before each 65,535 (RFC 1951, section 3.2.4).

    Nothing of it is compressed, so its length tells nothing of what is in it.
    """
    parts = []
    for start in range(0, len(payload), _MOST_STORED):
        part = payload[start : start + _MOST_STORED]
        parts.append(struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF) + part)
    return b"".join(parts)


def block(payload: bytes) -> bytes:
    """`payload` compressed on its own; stored where it is small, too large or does not become smaller."""
    if not SMALLEST <= len(payload) <= LARGEST:
        return stored(payload)
    # A new one each time knows nothing of any payload before.
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WITHOUT_HEADER)
    made = compressor.compress(payload) + compressor.flush(zlib.Z_FULL_FLUSH)
    return made if len(made) < len(payload) else stored(payload)


class Blocks:
    """`block`, made once of a payload that comes again soon.

    One event is often all that a flush has for many groups, and clients that were cut off together come back
    for the same events. Of more than `largest_bytes` none is kept: a flush takes no more with events of
    64 KiB, and all that is kept is then 6 MiB at most. `make` is what makes them.
    """

    def __init__(self, largest_bytes: int = 196_608, make: Callable[[bytes], bytes] = block) -> None:
        self._largest_bytes = largest_bytes
        self._make = make
        self._made: LRUCache[bytes, bytes] = LRUCache(_KEPT)

    def of(self, payload: bytes) -> bytes:
        """What `block` gives."""
        if not SMALLEST <= len(payload) <= self._largest_bytes:
            return self._make(payload)
        made = self._made.get(payload)
        if made is None:
            made = self._made[payload] = self._make(payload)
        return made
