"""Bucketing: the published vectors, and a second implementation of the hash."""

import json
from pathlib import Path
from typing import Any

import pytest

from flags.decide.rollout import BUCKETS, bucket, in_cohort

VECTORS = json.loads((Path(__file__).parents[3] / "data" / "rollout_vectors.json").read_text())
MASK = 0xFFFFFFFF


def murmur3_32(data: bytes) -> int:
    """MurmurHash3_x86_32 with seed 0, after its author's reference in C++ (smhasher)."""

    def rotated(value: int, by: int) -> int:
        return (value << by | value >> (32 - by)) & MASK

    def mixed(block: int) -> int:
        return rotated(block * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK

    whole = len(data) & ~3
    h = 0
    for start in range(0, whole, 4):
        h = rotated(h ^ mixed(int.from_bytes(data[start : start + 4], "little")), 13)
        h = (h * 5 + 0xE6546B64) & MASK
    if whole != len(data):
        h ^= mixed(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & MASK
    return h ^ h >> 16


def test_the_second_implementation_knows_the_references_values() -> None:
    assert murmur3_32(b"") == 0
    assert murmur3_32(b"test") == 0xBA6BD213
    assert murmur3_32(b"Hello, world!") == 0xC0363E43
    assert murmur3_32(b"The quick brown fox jumps over the lazy dog") == 0x2E4FF723


@pytest.mark.parametrize(
    "vector", VECTORS["buckets"], ids=lambda vector: f"{vector['group']}:{vector['value'][:20]}"
)
def test_a_published_bucket_is_the_rules(vector: dict[str, Any]) -> None:
    h = murmur3_32(f"{vector['group']}:{vector['value']}".encode())

    assert h == vector["hash"]
    assert h * 100_000 >> 32 == vector["bucket"]
    assert bucket(vector["group"], vector["value"]) == vector["bucket"]


@pytest.mark.parametrize("vector", VECTORS["cohorts"], ids=lambda v: f"{v['value']}-{v['percentage']}")
def test_a_published_caller_streams_from_its_percentage_on(vector: dict[str, Any]) -> None:
    assert in_cohort(vector["group"], vector["value"], vector["percentage"]) is vector["streams"]


@pytest.mark.parametrize("thousandths", [1, 57, 1_001, 16_083, 33_333, 99_999])
def test_binary_noise_of_a_percentage_takes_in_nobody(thousandths: int) -> None:
    value = next(f"u{n}" for n in range(10 * BUCKETS) if bucket("orders", f"u{n}") == thousandths)

    assert not in_cohort("orders", value, thousandths / 1000)


def test_a_value_that_utf8_cannot_carry_has_a_bucket_too() -> None:
    assert 0 <= bucket("orders", "u\udcff\ud83d") < BUCKETS


def test_a_percentage_takes_in_about_that_share() -> None:
    streaming = sum(in_cohort("orders", f"user-{n}", 25) for n in range(20_000))

    assert 0.24 < streaming / 20_000 < 0.26
