"""Takes the content coding off a body, within bounds (RFC 9110, section 8.4.1)."""

import zlib

CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""The codings that can be taken off, and zlib's `wbits` for each."""

_PIECE_BYTES = 4096
"""What follows a member is copied for each of them, and a body may be all empty members."""


class Broken(ValueError):
    """The bytes are not what the coding says."""


class TooLong(ValueError):
    """Unpacked there are more bytes than may be."""


def unpack(coded: bytes, coding: str, max_bytes: int) -> bytes:
    """`coded` without its coding, one of CODINGS; gzip in several members is one body (RFC 1952, 2.2).

    Takes a millisecond for some hundred kilobytes. Raises Broken, also for what is cut off or has a tail, and
    TooLong where it would be over `max_bytes`; it never holds much more than that.
    """
    wbits = CODINGS[coding]
    parts: list[bytes] = []
    room = max_bytes
    stream = zlib.decompressobj(wbits)
    try:
        for start in range(0, len(coded), _PIECE_BYTES):
            piece = coded[start : start + _PIECE_BYTES]
            while piece:
                if stream.eof:
                    if coding == "deflate":
                        raise Broken("something follows its end")
                    stream = zlib.decompressobj(wbits)
                part = stream.decompress(piece, room + 1)
                room -= len(part)
                if room < 0:
                    raise TooLong(f"over {max_bytes} bytes")
                parts.append(part)
                piece = stream.unconsumed_tail or stream.unused_data
    except zlib.error as error:
        raise Broken(str(error)) from error
    if not stream.eof:
        raise Broken("it is cut off")
    return b"".join(parts)
