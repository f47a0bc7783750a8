"""Versions compare as versions, not as text."""

import itertools

import pytest

from flags.decide.versions import Version

ASCENDING = [
    "0",
    "0.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2",
    "1.10",
    "2",
    "2.0.0.1",
    "10.0.0",
]


@pytest.mark.parametrize(("lower", "higher"), list(itertools.combinations(ASCENDING, 2)))
def test_versions_have_the_order_of_semantic_versioning(lower: str, higher: str) -> None:
    low, high = Version.parse(lower), Version.parse(higher)

    assert low is not None
    assert high is not None
    assert low < high


@pytest.mark.parametrize("same", ["2.1", "v2.1", "2.1.0", "2.1.0.0", "2.1.0+build.7", "02.1"])
def test_versions_that_differ_in_writing_only_are_equal(same: str) -> None:
    assert Version.parse(same) == Version.parse("2.1.0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v",
        "one",
        "1.",
        ".1",
        "1..2",
        "1.2-",
        "1.2-a..b",
        "-1",
        "1 .2",
        "1.2\n",
        "\u0661.\u0662",
        "1" * 10,
        "1.2/3",
    ],
)
def test_what_is_no_version_is_none(text: str) -> None:
    assert Version.parse(text) is None
