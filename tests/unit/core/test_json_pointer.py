"""Pointers into decoded JSON values; the examples are RFC 6901's own (section 5)."""

from typing import Any

import pytest

from gateway.core.json_pointer import ABSENT, found_at, is_index, member_path, path_of

DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, " ": 7, "m~n": 8, "null": None}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/ ", 7),
        ("/m~0n", 8),
        ("/null", None),
        ("/foo/2", ABSENT),
        ("/foo/-", ABSENT),
        ("/foo/00", ABSENT),
        ("/foo/0/x", ABSENT),
        ("/null/x", ABSENT),
        ("/none", ABSENT),
    ],
)
def test_a_pointer_finds_what_is_there(pointer: str, value: Any) -> None:
    assert found_at(DOCUMENT, path_of(pointer)) == value


def test_a_member_is_named_or_pointed_to() -> None:
    assert member_path("order/ID") == ("order/ID",)
    assert member_path("/metadata/uid") == ("metadata", "uid")


def test_an_index_has_no_leading_zero_and_no_other_digits() -> None:
    assert [token for token in ("0", "10", "01", "-", "", "-1", "٣") if is_index(token)] == ["0", "10"]
