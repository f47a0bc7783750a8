"""Whatever the bytes: items are read as by one decoder of the whole, or refused as it would refuse them."""

import json
import re
from typing import Any, Literal

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.json_list import sequence_of, value_at
from gateway.core.json_pointer import ABSENT, path_of
from gateway.ports.legacy_route import Pages
from tests.support.comparing import extract
from tests.support.legacy import legacy_route

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=6
) | st.sampled_from(["docs", "orderID", '"', "\\", '\\"', "{", "}]", "[{", ",", "é"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.builds(
    lambda key, members, first: {"orderID": key, **members} if first else {**members, "orderID": key},
    st.integers(0, 5) | TEXT,
    st.dictionaries(TEXT, VALUES, max_size=3),
    st.booleans(),
)
LISTS = st.lists(ITEMS, max_size=5) | st.lists(ITEMS | VALUES, max_size=3)
POINTERS = ("", "/docs", "/docs/1", "/a~1b/docs")
DOCUMENTS = (
    LISTS
    | st.builds(
        lambda before, items, after: {**before, "docs": items, **after},
        st.dictionaries(TEXT, VALUES, max_size=2),
        LISTS | st.tuples(VALUES, LISTS),
        st.dictionaries(TEXT, VALUES, max_size=2),
    )
    | LISTS.map(lambda items: {"x": {}, "a/b": {"docs": items}})
)
SPACES = st.sampled_from([b"", b" ", b"\n\t", b"\r\n"])


def at(document: Any, pointer: str) -> Any:
    """What is there, by the plainest reading of RFC 6901; ABSENT where nothing is."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name, ABSENT)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return ABSENT
    return document


def odd_places(document: Any) -> int:
    """How much of it only browsers read: the texts of these tests hold none of these by themselves."""
    return len(re.findall("\ufffd|Infinity", json.dumps(document, ensure_ascii=False)))


def decoded(text: bytes, pointer: str) -> dict[str, Any] | None:
    """The items, out of one decoder of the whole; None where the answer has to be refused."""
    try:
        document = json.loads(text.decode(errors="replace"), parse_constant=refused)
    except ValueError:
        return None
    found = at(document, pointer)
    if odd_places(document) != (odd_places(found) if isinstance(found, list) else 0):
        return None
    if found is None:
        return {}
    if not isinstance(found, list):
        return None
    items: dict[str, Any] = {}
    keys = set()
    for item in found:
        key = item.get("orderID") if isinstance(item, dict) else None
        if not isinstance(key, str | int) or isinstance(key, bool):
            continue
        if not 1 <= len(str(key)) <= 256 or any(ord(one) < 32 or 127 <= ord(one) < 160 for one in str(key)):
            continue
        if str(key) in keys:
            return None
        keys.add(str(key))
        if not odd_places(item):
            items[str(key)] = item
    return items if items or not found else None


def refused(constant: str) -> None:
    raise ValueError(constant)


def read(text: bytes, pointer: str) -> dict[str, Any] | None:
    try:
        items = extract(text, legacy_route(items=pointer))
    except BadAnswer:
        return None
    assert [(key, items[key]) for key in items] == list(items.items())
    return {key: orjson.loads(raw) for key, raw in items.items()}


def spaced(document: Any, space: bytes) -> bytes:
    """The document with that white space wherever JSON allows some."""
    text, inside, escaped = bytearray(space), False, False
    for one in orjson.dumps(document):
        char = bytes([one])
        structural = not inside and char in b"[]{},:"
        text += space + char + space if structural else char
        if inside and not escaped and char == b"\\":
            escaped = True
            continue
        if char == b'"' and not escaped:
            inside = not inside
        escaped = False
    return bytes(text + space)


@given(DOCUMENTS, SPACES)
def test_what_one_decoder_reads_is_read_the_same(document: Any, space: bytes) -> None:
    text = spaced(document, space)
    for pointer in POINTERS:
        assert read(text, pointer) == decoded(text, pointer)


@given(DOCUMENTS, SPACES)
def test_a_value_is_found_where_one_decoder_finds_it(document: Any, space: bytes) -> None:
    text = spaced(document, space)
    for pointer in (*POINTERS, "/docs/0", "/docs/0/orderID", "/x"):
        raw = value_of(text, pointer)
        assert (ABSENT if raw is None else orjson.loads(raw)) == at(orjson.loads(text), pointer)


def value_of(text: bytes, pointer: str) -> bytes | None:
    steps = value_at(text, path_of(pointer))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: bytes | None = done.value
            return found


@given(
    DOCUMENTS,
    st.integers(0, 10_000),
    st.integers(0, 2),
    st.sampled_from(
        [b"", b",", b'"', b"{", b"}", b"[", b"]", b"\\", b":", b"1", b" ", b"\x0b", b"\xff", b"\x00"]
    ),
)
def test_what_is_damaged_is_read_as_one_decoder_reads_it_or_refused_as_it_does(
    document: Any, place: int, taken: int, put: bytes
) -> None:
    whole = orjson.dumps(document)
    place %= len(whole)
    text = whole[:place] + put + whole[place + taken :]
    for pointer in POINTERS:
        assert read(text, pointer) == decoded(text, pointer)


@given(
    st.lists(
        st.sampled_from([b"{", b"}", b"[", b"]", b'"', b",", b":", b"1", b'"docs"', b'"orderID":1']),
        max_size=14,
    )
)
def test_any_brackets_are_read_as_by_one_decoder(tokens: list[bytes]) -> None:
    text = b"".join(tokens)
    for pointer in ("", "/docs"):
        found = decoded(text, pointer)
        # Of two members with one name a decoder takes the last; which one was meant nobody knows.
        if text.count(b'"docs"') < 2:
            assert read(text, pointer) == found


BODIES = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=4), min_size=2, max_size=4
)


@example(bodies=[[(0, 0)], [(0, 0), (0, 1)]], first_counts=True, shape="list")
@example(bodies=[[(0, 0), (0, 1)], [(0, 0)]], first_counts=False, shape="list")
@given(BODIES, st.booleans(), st.sampled_from(["list", "map"]))
def test_several_bodies_are_read_as_one_list_in_which_each_key_stands_once(
    bodies: list[list[tuple[int, int]]], first_counts: bool, shape: Literal["list", "map"]
) -> None:
    texts = []
    for body in bodies:
        items = [b'{"orderID":%d,"n":%d}' % item for item in body]
        named = [b'"%d":%b' % (key, item) for (key, _), item in zip(body, items, strict=True)]
        texts.append(
            b'{"docs":{%b}}' % b",".join(named) if shape == "map" else b'{"docs":[%b]}' % b",".join(items)
        )
    several: dict[str, Any] = {"also": ("/closed",)} if first_counts else {"pages": Pages("/next")}
    route = legacy_route(shape=shape, **several)
    expected: dict[str, int] = {}
    for body in reversed(bodies) if first_counts else bodies:
        expected |= {str(key): n for key, n in body}

    if any(len({key for key, _ in body}) < len(body) for body in bodies):
        with pytest.raises(BadAnswer, match="key of another"):
            extract(b"".join(sequence_of(texts)), route)
        return
    found = extract(b"".join(sequence_of(texts)), route)
    assert {key: orjson.loads(raw)["n"] for key, raw in found.items()} == expected
