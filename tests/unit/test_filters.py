"""How a member of an event's data compares with what a filter says."""

from typing import Any

import pytest

from gateway.filters import parse_filter


def matches(comparison: str, data: dict[str, Any]) -> bool:
    return parse_filter(comparison).matches(data)


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        # Numbers are one type, whether whole or not; text and booleans are others.
        ("n=eq.7", 7, True),
        ("n=eq.7", 7.0, True),
        ("n=eq.7.0", 7, True),
        ("n=eq.7e0", 7, True),
        ("n=eq.-7", -7, True),
        ("n=eq.7", "7", False),
        ("n=eq.1", True, False),
        ("n=eq.0", False, False),
        ("n=eq.true", True, True),
        ("n=eq.true", 1, False),
        ("n=eq.true", "true", False),
        ("n=eq.false", 0, False),
        ("n=eq.null", None, True),
        ("n=eq.null", "null", False),
        ("n=eq.True", "True", True),
        ("n=eq.a", "a", True),
        ("n=eq.a", "A", False),
        ("n=eq.", "", True),
        ("n=eq.07", "07", True),
        ("n=eq.07", 7, False),
        ("n=eq.+7", "+7", True),
        ("n=eq..5", ".5", True),
        ("n=eq.7", [7], False),
        ("n=eq.a=b.c", "a=b.c", True),
        ("n=eq.(a)", "(a)", True),
        ("n=eq.é\u2028🙂", "é\u2028🙂", True),
        # A float can't tell these apart; as integers they differ.
        ("n=eq.9007199254740993", 9007199254740992, False),
        # neq is what a value that is there answers.
        ("n=neq.7", 8, True),
        ("n=neq.7", 7.0, False),
        ("n=neq.7", "7", True),
        ("n=neq.7", None, True),
        ("n=neq.true", 1, True),
        # Order is among numbers, or among text.
        ("n=gt.9", 10, True),
        ("n=gt.9", "10", False),
        ("n=gt.9", True, False),
        ("n=gt.9", 9, False),
        ("n=gte.9", 9.0, True),
        ("n=lt.9", 8.9, True),
        ("n=lt.9", None, False),
        ("n=lte.9", 9, True),
        ("n=lte.9", [1], False),
        ("n=gt.a", "b", True),
        ("n=lt.b", "a", True),
        ("n=gte.b", "a", False),
        ("n=lte.b", "b", True),
        # Lists and the three words.
        ("n=in.(7,8)", 8, True),
        ("n=in.(7,8)", 8.0, True),
        ("n=in.(7,8)", "8", False),
        ("n=in.(a,null,true)", None, True),
        ("n=in.(a,null,true)", True, True),
        ("n=in.(a,null,true)", 1, False),
        ("n=in.(a)", "b", False),
        ("n=is.null", None, True),
        ("n=is.null", 0, False),
        ("n=is.true", True, True),
        ("n=is.true", 1, False),
        ("n=is.false", False, True),
        ("n=is.false", 0, False),
        ("n=is.false", None, False),
        # Objects and lists are equal to no operand, also where they hold one.
        ("n=in.(7,8)", {"a": 7}, False),
        ("n=in.(7,8)", [7], False),
        ("n=neq.7", {"a": 7}, True),
        # In one list, a number is equal however it is written, and true and 1 stay apart.
        ("n=in.(1,x)", True, False),
        ("n=in.(true,x)", 1, False),
        ("n=in.(0,false)", False, True),
        ("n=in.(1,1.0,1e0)", 1, True),
        ("n=in.(9007199254740993,x)", 9007199254740992.0, False),
        ("n=in.(-0,x)", 0.0, True),
    ],
)
def test_values_compare_as_json_values(comparison: str, value: Any, expected: bool) -> None:
    assert matches(comparison, {"n": value}) is expected


@pytest.mark.parametrize(
    "operator", ["eq.7", "neq.7", "gt.0", "lte.9", "in.(7)", "is.true", "is.false", "eq.null"]
)
def test_a_member_that_is_not_there_satisfies_no_comparison(operator: str) -> None:
    assert not matches(f"n={operator}", {})
    assert not matches(f"m.n={operator}", {"m": 1})


def test_a_member_that_is_not_there_is_null() -> None:
    assert matches("n=is.null", {})


def test_a_dotted_name_reaches_into_objects() -> None:
    assert matches("a.b.c=eq.1", {"a": {"b": {"c": 1}}})
    assert not matches("a.b.c=eq.1", {"a.b.c": 1})
    assert not matches("a.b=eq.1", {"a": [1]})
    assert not matches("a.b=eq.1", {"a": "b"})
    assert matches("a.b=is.null", {"a": 1})
