"""A gzip member that any reader can join: what is compressed, and what is not."""

import struct
import zlib

import pytest

from gateway.core import gzip_stream
from gateway.core.gzip_stream import HEADER, SMALLEST, Blocks, block, stored
from tests.support.streams import inflate

REPETITIVE = b"event: stage_change\ndata: {}\n\n" * 20
RANDOM = bytes((n * n * 31 + n * 7) % 251 ^ (n >> 3 & 255) for n in range(300))


def test_a_member_is_begun_without_a_name_a_time_or_a_system() -> None:
    assert struct.unpack("<BBBBIBB", HEADER) == (0x1F, 0x8B, 8, 0, 0, 0, 255)
    decoder = zlib.decompressobj(wbits=31)
    assert decoder.decompress(HEADER + stored(b"x")) == b"x"


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (65_535, 1), (65_536, 2), (200_000, 4)])
def test_what_is_stored_stays_as_it_is_in_blocks_of_at_most_65535(size: int, count: int) -> None:
    payload = bytes(n % 251 for n in range(size))
    coded = stored(payload)
    assert len(coded) == size + 5 * count
    assert coded[5 : 5 + min(size, 65_535)] == payload[:65_535]
    assert zlib.decompressobj(wbits=-15).decompress(coded) == payload


def test_what_would_take_too_long_in_one_piece_is_stored() -> None:
    largest = b"x" * gzip_stream.LARGEST
    assert len(block(largest)) < 10_000
    assert block(largest + b"x") == stored(largest + b"x")


def test_what_becomes_smaller_is_compressed() -> None:
    coded = block(REPETITIVE)
    assert len(coded) < len(REPETITIVE) // 4
    assert inflate(coded)[0] == REPETITIVE


@pytest.mark.parametrize(
    "payload", [b"", b"x", REPETITIVE[: SMALLEST - 1], RANDOM], ids=["nothing", "a byte", "small", "random"]
)
def test_what_is_small_or_does_not_become_smaller_is_stored(payload: bytes) -> None:
    assert block(payload) == stored(payload)


def test_a_block_is_complete_without_what_comes_after_it() -> None:
    coded = block(REPETITIVE)
    assert coded.endswith(b"\x00\x00\xff\xff"), "an empty stored block ends it on a byte boundary"
    decoder = zlib.decompressobj(wbits=-15)
    assert decoder.decompress(coded) == REPETITIVE
    assert not decoder.eof


def test_a_block_is_the_same_whatever_was_made_before_it() -> None:
    before = block(REPETITIVE)
    block(REPETITIVE[1:])
    assert block(REPETITIVE) == before


def test_the_same_payload_is_compressed_once() -> None:
    blocks = Blocks()
    assert blocks.of(REPETITIVE) is blocks.of(bytes(bytearray(REPETITIVE)))
    assert blocks.of(REPETITIVE) == block(REPETITIVE)


def test_only_what_came_last_is_kept() -> None:
    made: list[bytes] = []

    def make(payload: bytes) -> bytes:
        made.append(payload)
        return b"made"

    blocks = Blocks(2000, make)
    payloads = [bytes([n]) * SMALLEST for n in range(17)]
    for payload in payloads:
        blocks.of(payload)
    blocks.of(payloads[-1])
    assert made == payloads
    blocks.of(payloads[0])
    assert made == [*payloads, payloads[0]]
    large = b"x" * 2001
    assert (blocks.of(large), blocks.of(large)) == (b"made", b"made")
    assert made[-2:] == [large, large]
