"""What stands around the bytes of a stream: HTTP's chunks, and compressed blocks. Sans I/O."""

import zlib

# What a gzip member begins with (RFC 1952, section 2.3), and how long its header is without options.
GZIP_MAGIC, GZIP_HEADER_BYTES = b"\x1f\x8b\x08\x00", 10
RAW_DEFLATE = -zlib.MAX_WBITS

# How much a chunk still holds, where that is no count of bytes.
UNFRAMED = -1
ENDED = -2


class MalformedError(Exception):
    """The bytes are not what HTTP, the event stream or the benchmark's events look like."""


def unchunk(left: int, line: bytes, data: bytes) -> tuple[list[bytes], int, bytes]:
    """Takes the chunk framing off (RFC 9112, section 7.1): the payload, and the new `left` and `line`.

    The payload is in parts; an empty one stands where a chunk begins.
    """
    if left == UNFRAMED:
        return [data], UNFRAMED, b""
    parts = []
    at = 0
    while at < len(data) and left != ENDED:
        if left > 2:
            part = data[at : at + left - 2]
            parts.append(part)
            at += len(part)
            left -= len(part)
        elif left > 0:
            if data[at] != b"\n\r"[left - 1]:
                raise MalformedError("a chunk is longer than its size says")
            at += 1
            left -= 1
        else:
            end = data.find(b"\n", at)
            if end < 0:
                line += data[at:]
                break
            left = _chunk_size(line + data[at:end])
            at, line = end + 1, b""
            parts.append(b"")
    return parts, left, line


def inflated(block: bytes) -> bytes:
    """A block of a compressed stream, which stands alone."""
    unpacking = zlib.decompressobj(RAW_DEFLATE)
    try:
        return unpacking.decompress(block)
    except zlib.error as error:
        raise MalformedError(f"a chunk does not unpack by itself: {error}") from error


def first_chunk(data: bytes) -> int:
    """How many bytes the HTTP chunk takes that `data` begins with; all of them where it is not complete."""
    line, end, _ = data.partition(b"\n")
    if not end:
        return len(data)
    try:
        return min(len(data), len(line) + 1 + max(0, _chunk_size(line)))
    except MalformedError:
        return len(data)


def _chunk_size(line: bytes) -> int:
    try:
        size = int(line.partition(b";")[0], 16)
    except ValueError as error:
        raise MalformedError(f"no chunk size: {line[:40]!r}") from error
    return size + 2 if size else ENDED
