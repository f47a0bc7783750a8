"""How a member of an event's data compares with what a filter says."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadParameter
from gateway.core.filters import OPERATORS, Filter, filter_of, parse_filters


def parse_filter(text: str) -> Filter:
    (only,) = parse_filters(text)
    return only


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
        # In quotes all is text, and a quote anywhere else is one of its characters.
        ('n=eq."7"', "7", True),
        ('n=eq."7"', 7, False),
        ('n=eq."null"', None, False),
        ('n=eq."null"', "null", True),
        ('n=eq."true"', True, False),
        ('n=eq.""', "", True),
        ('n=neq."7"', 7, True),
        ('n=gt."10"', "9", True),
        ('n=gt."10"', 11, False),
        ('n=lt."null"', "a", True),
        (r'n=eq."a\"b\\c"', r'a"b\c', True),
        ('n=eq."a,b"', "a,b", True),
        ('n=eq."),m=eq.1"', "),m=eq.1", True),
        ('n=eq.5" pipe', '5" pipe', True),
        (r"n=eq.a\b", r"a\b", True),
        ('n=in.("7",8)', "7", True),
        ('n=in.("7",8)', 7, False),
        ('n=in.("7",8)', 8, True),
        ('n=in.("a,b",c)', "a,b", True),
        ('n=in.("a)",c)', "a)", True),
        ('n=in.("")', "", True),
        ("n=in.(a,)", "", True),
        ("n=in.(Acme (EU),b)", "Acme (EU)", True),
        ("n=in.((a),b)", "(a)", True),
        # Nothing is normalised: é is not e with an accent.
        ('n=eq."\u00e9"', "e\u0301", False),
        # An integer beyond 64 bits is what an event's became.
        ("n=eq.18446744073709551615", 2**64 - 1, True),
        ("n=eq.18446744073709551617", float(2**64), True),
        ("n=eq.18446744073709551617", 2**64 - 1, False),
        ("n=neq.18446744073709551617", float(2**64), False),
        ("n=gt.18446744073709551617", float(2**64), False),
        ("n=lte.18446744073709551615", float(2**64), False),
        ("n=in.(123456789012345678901234567890,x)", 123456789012345678901234567890.0, True),
        ("n=eq.-9223372036854775808", -(2**63), True),
        ("n=eq.-9223372036854775809", float(-(2**63)), True),
    ],
)
def test_values_compare_as_json_values(comparison: str, value: Any, expected: bool) -> None:
    assert matches(comparison, {"n": value}) is expected


@pytest.mark.parametrize(
    ("joined", "texts"),
    [
        ("name=eq.Acme (EU,x=eq.1", ["name=eq.Acme (EU", "x=eq.1"]),
        ("x=eq.1,name=eq.Acme (EU", ["x=eq.1", "name=eq.Acme (EU"]),
        ("face=eq.:-(,x=eq.1", ["face=eq.:-(", "x=eq.1"]),
        ("face=neq.),x=lt.)", ["face=neq.)", "x=lt.)"]),
        ("a=in.(1,2),b=eq.(,c=eq.3", ["a=in.(1,2)", "b=eq.(", "c=eq.3"]),
        ("a=in.(1,b (2),c),b=in.(3)", ["a=in.(1,b (2),c)", "b=in.(3)"]),
        ('a=eq.",b=eq.",c=in.("),",2)', ['a=eq.",b=eq."', 'c=in.("),",2)']),
        ("a=eq.in.(1,b=is.null", ["a=eq.in.(1", "b=is.null"]),
        ('in.(a=eq."x,y",b=eq.1', ['in.(a=eq."x,y"', "b=eq.1"]),
    ],
)
def test_only_a_comma_in_a_list_or_in_quotes_does_not_separate_filters(joined: str, texts: list[str]) -> None:
    assert [given.text for given in parse_filters(joined)] == texts


@pytest.mark.parametrize(
    "text",
    [
        *('n=eq."', 'n=eq."a', 'n=eq."a"b', 'n=eq."a" ', r'n=eq."a\"', r'n=eq."a\b"', 'n=eq.""a"'),
        *('n=in.("a)', 'n=in.("a"', 'n=in.("a"b)', 'n=in.("a" ,b)', 'n=is."null"', 'n="a".eq.1'),
        *('n=eq."a\x00"', 'n=eq."a\x85"', 'n=in.("a\n")'),
        # A list that could end in two places, and a filter that its end would swallow.
        *("n=in.(:-(,7)", "n=in.(a(b,c))", "n=in.(a)b", "n=in.(a))", "n=in.(:-(,7),m=eq.:-)", "n=in.(a"),
        *("n=in.(:-(),m=eq.:-)", "n=in.(()", "n=in."),
        "n=eq." + "9" * 309,
    ],
)
def test_a_malformed_operand_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match=r"^filter: "):
        list(parse_filters(text))


@given(st.integers(-(10**400), 10**400) | st.integers(2**63 - 3, 2**64 + 3).map(lambda n: n * (-1) ** n))
def test_a_number_compares_as_an_event_has_it(number: int) -> None:
    try:
        data = orjson.loads(f'{{"n":{number}}}')
    except orjson.JSONDecodeError:
        with pytest.raises(BadParameter, match="too large"):
            parse_filter(f"n=eq.{number}")
    else:
        assert matches(f"n=eq.{number}", data)
        assert matches(f"n=in.({number})", data)
        assert not matches(f"n=gt.{number}", data)


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


def test_an_operator_that_nothing_compares_by_fails_loudly() -> None:
    known = parse_filter("n=eq.7")
    added = Filter("n=like.7", known.path, "like", known.operands, known.equals, known.written)
    with pytest.raises(KeyError, match="like"):
        added.matches({"n": 7})


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_is_named_read_and_looked_for_in_lists(operator: str) -> None:
    with pytest.raises(BadParameter) as failure:
        parse_filter("n=none.7")
    assert operator in failure.value.errors[0]["detail"].split()
    operand = {"in": "(7)", "is": "true"}.get(operator, "7")
    assert parse_filter(f"n={operator}.{operand}").operator == operator
    with pytest.raises(BadParameter, match="within the list"):
        parse_filter(f"n=in.(1,m={operator}.7)")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("n=eq.7", "n=eq.7.0"),
        ("n=eq.7", "n=eq.7e0"),
        ("n=eq.-0", "n=eq.0.0"),
        ("n=eq.7", "n=in.(7,7.0)"),
        ("n=in.(8,7)", "n=in.(7,8,7)"),
        ("n=eq.a", 'n=eq."a"'),
        ("n=is.true", "n=eq.true"),
        ("n=eq.18446744073709551617", "n=eq.18446744073709551616"),
        ("a.b=gt.1e2", "a.b=gt.100"),
    ],
)
def test_filters_of_one_meaning_are_made_with_one_text(one: str, other: str) -> None:
    made = [filter_of(read.path, read.operator, read.operands) for read in map(parse_filter, (one, other))]
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("n=eq.7", 'n=eq."7"'),
        ("n=eq.1", "n=eq.true"),
        ("n=eq.0", "n=eq.false"),
        ("n=eq.null", "n=is.null"),
        ("n=eq.null", 'n=eq."null"'),
        ("n=in.(7,8)", 'n=in.(7,"8")'),
        ('n=eq."a,b"', "n=in.(a,b)"),
        ("n=eq.9007199254740993", "n=eq.9007199254740992"),
    ],
)
def test_filters_of_other_meanings_are_made_with_other_texts(one: str, other: str) -> None:
    made = [filter_of(read.path, read.operator, read.operands) for read in map(parse_filter, (one, other))]
    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("operator", "operands"),
    [
        *(("eq", []), ("eq", [1, 2]), ("neq", [1, 2]), ("in", []), ("gt", [None]), ("lte", [True])),
        *(("is", ["null"]), ("is", [1]), ("eq", [[7]]), ("eq", [{}]), ("in", [7, [8]])),
        *(("eq", [float("nan")]), ("lt", [float("inf")]), ("eq", [10**400]), ("eq", ["\ud800"])),
    ],
)
def test_no_filter_is_made_of_what_an_operator_does_not_take(operator: str, operands: list[Any]) -> None:
    with pytest.raises(BadParameter, match=r"^filter: "):
        filter_of(("n",), operator, operands)


@pytest.mark.parametrize(
    ("given", "matched"),
    [
        ("customer=eq.7", [7, 7.0, "7"]),
        ('customer=eq."7"', ["7"]),
        ("customer=eq.7.0", [7, 7.0, "7.0"]),
        ("customer=eq.true", [True, "true"]),
        ("customer=eq.null", [None, "null"]),
        ("customer=in.(7,8)", [7, 7.0, "7", "8"]),
        ("customer=neq.7", ["8", "7.0", True, "true", None, "null"]),
        ("customer=gt.6", [7, 7.0]),
        ("other=eq.7", []),
    ],
)
def test_of_a_member_that_may_be_a_text_an_operand_means_the_text_as_well(
    given: str, matched: list[Any]
) -> None:
    (of,) = parse_filters(given, {"customer"})
    values = [7, 7.0, "7", "8", "7.0", True, "true", None, "null"]
    assert [value for value in values if of.matches({"customer": value})] == matched


def test_operands_are_counted_as_they_are_written() -> None:
    (of,) = parse_filters("customer=in.(7,8,x)", {"customer"})
    assert (of.written, of.operands) == (3, (7, 8, "x", "7", "8"))
