"""Content codings taken off, within bounds."""

import gzip
import zlib

import pytest

from gateway.core.unpacking import Broken, TooLong, unpack

BODY = bytes(range(256)) * 100
PACKED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_gzip_is_unpacked_member_by_member(coding: str) -> None:
    packed = b"".join(gzip.compress(BODY[start : start + 1000]) for start in range(0, len(BODY), 1000))

    assert unpack(packed, coding, len(BODY)) == BODY


def test_deflate_is_zlib_s_format() -> None:
    assert unpack(zlib.compress(BODY), "deflate", len(BODY)) == BODY


@pytest.mark.parametrize("room", [0, 1, len(BODY) - 1])
def test_more_than_may_be_is_too_long(room: int) -> None:
    with pytest.raises(TooLong):
        unpack(PACKED, "gzip", room)
    with pytest.raises(TooLong):
        unpack(gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]), "gzip", room)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", b""),
        ("gzip", b"plain"),
        ("gzip", PACKED[:-1]),
        ("gzip", PACKED + b"\x1f"),
        ("gzip", PACKED + b"tail"),
        ("gzip", PACKED[:-8] + bytes(8)),
        ("deflate", zlib.compress(BODY) + zlib.compress(BODY)),
        ("deflate", PACKED),
    ],
    ids=["nothing", "plain", "cut off", "half a head", "a tail", "a wrong sum", "two of deflate", "another"],
)
def test_what_is_not_the_coding_is_broken(coding: str, packed: bytes) -> None:
    with pytest.raises(Broken):
        unpack(packed, coding, 10 * len(BODY))


def test_a_body_of_empty_members_costs_no_more_than_its_length() -> None:
    """What follows a member is copied for each of them: the whole rest each time would be gigabytes here."""
    assert unpack(gzip.compress(b"") * 100_000, "gzip", 10) == b""
