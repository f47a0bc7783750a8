"""Filters that are made of values: what they are written as reads as the same filter."""

from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core.errors import BadParameter
from gateway.core.events import has_control_characters
from gateway.core.filters import OPERATORS, Filter, filter_of, parse_filters

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text('",.()\\=einq7 ', max_size=12)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | st.sampled_from(["7", "null", "true", 7, 7.0])
NAMES = st.text("abc_-é ", min_size=1, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)


@st.composite
def filters(draw: st.DrawFn) -> tuple[tuple[str, ...], str, list[Any]]:
    operator = draw(st.sampled_from(sorted(OPERATORS)))
    operands = {
        "in": st.lists(SCALARS, min_size=1, max_size=4),
        "is": st.lists(st.sampled_from([None, True, False]), min_size=1, max_size=1),
        "eq": st.lists(SCALARS, min_size=1, max_size=1),
        "neq": st.lists(SCALARS, min_size=1, max_size=1),
    }.get(operator, st.lists(NUMBERS | TEXTS, min_size=1, max_size=1))
    return draw(PATHS), operator, draw(operands)


def whole(made: Filter) -> tuple[Any, ...]:
    kinds = [(type(operand), operand) for operand in made.operands]
    return made.text, made.path, made.operator, kinds, made.equals


@given(filters())
def test_a_filter_reads_as_what_it_was_made_of(given: tuple[tuple[str, ...], str, list[Any]]) -> None:
    path, operator, operands = given
    assume(not any(isinstance(operand, str) and has_control_characters(operand) for operand in operands))
    made = filter_of(path, operator, operands)
    (read,) = parse_filters(made.text)
    assert whole(read) == whole(made)
    assert whole(filter_of(read.path, read.operator, read.operands)) == whole(made)


@given(filters(), filters())
def test_several_filters_in_one_parameter_stay_apart(
    one: tuple[tuple[str, ...], str, list[Any]], other: tuple[tuple[str, ...], str, list[Any]]
) -> None:
    texts = [filter_of(*one).text, filter_of(*other).text]
    assume(not any(map(has_control_characters, texts)))
    assert [read.text for read in parse_filters(",".join(texts))] == texts


@given(filters(), SCALARS)
def test_it_matches_what_the_filter_as_written_by_hand_matches(
    given: tuple[tuple[str, ...], str, list[Any]], value: Any
) -> None:
    _, operator, operands = given
    made = filter_of(("n",), operator, operands)
    data = orjson.loads(orjson.dumps({"n": value if not isinstance(value, int) or abs(value) < 2**63 else 0}))
    by_hand = [f"n={operator}.{_by_hand(operator, operands)}"]
    assume(not has_control_characters(by_hand[0]))
    (read,) = parse_filters(by_hand[0])
    assert made.matches(data) is read.matches(data)
    for operand in operands:
        same = {"n": operand}
        assert made.matches(same) is read.matches(same)


def _by_hand(operator: str, operands: list[Any]) -> str:
    texts = [
        '"' + operand.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if isinstance(operand, str)
        else {None: "null", True: "true", False: "false"}[operand]
        if operand is None or isinstance(operand, bool)
        else repr(operand)
        for operand in operands
    ]
    return f"({','.join(texts)})" if operator == "in" else texts[0]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_makes_a_filter_that_matches_it_alone(text: str) -> None:
    made = filter_of(("n",), "eq", [text])
    assert made.matches({"n": text})
    assert not made.matches({"n": text + "x"})


@given(st.text(), st.characters(categories=["Cs"]))
def test_no_filter_is_made_of_what_is_no_text(start: str, surrogate: str) -> None:
    with pytest.raises(BadParameter):
        filter_of(("n",), "eq", [start + surrogate])
