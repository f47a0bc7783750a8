"""Where the items of an answer stand in a JSON text, found without decoding the text. No I/O.

orjson decodes a text in one piece: it holds the interpreter for some 10 ms a megabyte, and its objects take
ten times the memory of the text. Here brackets are counted, past the strings, and each item is decoded by
itself. Together these say what one decoder would say of the whole: each item is JSON, only commas stand
between them, and what is around them is JSON with something else in their place.
"""

import re
from collections.abc import Collection, Generator
from typing import NamedTuple

import orjson

from adapters.upstream.failures import BadAnswer
from gateway.core.json_pointer import Path, found_at, is_index
from gateway.ports.legacy_route import Empty, Shape

_BOM = b"\xef\xbb\xbf"
_SEPARATOR = b"\x1e"

_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TO_BRACKET = rb'[^{}\[\]"]*+(?:' + _STRING + rb'[^{}\[\]"]*+)*+'
_FLAT_OBJECT = re.compile(_SPACE + rb"(\{" + _TO_BRACKET + rb"\})", re.DOTALL)
_BRACKET = re.compile(_TO_BRACKET + rb"([{}\[\]])", re.DOTALL)
_SCALAR = re.compile(_SPACE + rb"(" + _STRING + rb'|[^ \t\n\r,\[\]{}"]++)', re.DOTALL)
_NAME = re.compile(_SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":", re.DOTALL)
_OBJECT, _LIST = re.compile(_SPACE + rb"(\{)"), re.compile(_SPACE + rb"(\[)")
_NULL = re.compile(_SPACE + rb"(null)(?![^ \t\n\r,\[\]{}\"])")
_CLOSING = re.compile(_SPACE + rb"([\]}])")
_AFTER_ITEM = re.compile(_SPACE + rb"([,\]}])")
_AFTER_MEMBER = re.compile(_SPACE + rb",")

_BRACKETS_A_STEP = 256
_TOLD_APART_BYTES = 65_536
"""Up to so many bytes, a text without the items is decoded to say whether it is JSON at all."""
_STAND_IN = ["the items"]


class Span(NamedTuple):
    """Where an item begins and ends in the text, and how many brackets it is deep: none, a scalar.

    `name` is where its member's name begins, in a map.
    """

    name: int
    begins: int
    ends: int
    depth: int


class _Text(NamedTuple):
    """One JSON text within others: its bytes, and where it begins and ends in them."""

    whole: bytes
    begins: int
    ends: int

    def match(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes] | None:
        return pattern.match(self.whole, position, self.ends)


def sequence_of(bodies: Collection[bytes]) -> list[bytes]:
    """The parts of a JSON text sequence (RFC 7464) of several bodies, to be joined: `texts_in` reads it."""
    return [part for body in bodies for part in (_SEPARATOR, body, b"\n")]


def texts_in(text: bytes) -> Generator[tuple[int, int], None, None]:
    """Where each JSON text begins and ends: of a sequence, or else the one that there is."""
    if not text.startswith(_SEPARATOR):
        yield _without_bom(text, 0), len(text)
        return
    begins: int | None = 1
    while begins is not None:
        # It stands in no JSON text: a body that holds one is none, and neither are the parts of it.
        after = text.find(_SEPARATOR, begins)
        yield _without_bom(text, begins), len(text) if after < 0 else after
        begins = None if after < 0 else after + 1


def _without_bom(text: bytes, begins: int) -> int:
    """Browsers overlook a byte order mark (Encoding Standard, "UTF-8 decode"), so this does too."""
    return begins + len(_BOM) if text.startswith(_BOM, begins) else begins


def items_in(
    text: bytes, bounds: tuple[int, int], path: Path, shape: Shape, empty: Collection[Empty]
) -> Generator[Span | None, None, None]:
    """The spans of the items at `path` in the JSON text within `bounds`; None where it only took a while.

    Each step takes some microseconds. `empty` says what means that there are none. Raises BadAnswer:
    `not_json`, or `no_list` where there is nothing of that shape. Whether an item is JSON, and an object, is
    for the caller to find out.
    """
    within = _Text(text, *bounds)
    place = yield from _place_of(within, path)
    if place is None:
        if not _is_json(within):
            raise not_json()
        if "absent" in empty and within.ends - within.begins <= _TOLD_APART_BYTES:
            return
        raise _no_items(shape)
    null = within.match(_NULL, place) if "null" in empty else None
    opening = within.match(_LIST if shape == "list" else _OBJECT, place)
    if null is not None:
        begins, ends = null.span(1)
    elif opening is None:
        raise _no_items(shape) if _is_json(within) else not_json()
    elif shape == "single":
        begins = opening.start(1)
        ends, depth = yield from _closing(within, begins)
        yield Span(begins, begins, ends, depth)
    else:
        begins = opening.start(1)
        ends = yield from _entries(within, opening.end(), is_map=shape == "map")
    _check_around(within, begins, ends, path)


def value_at(text: bytes, path: Path) -> Generator[None, None, bytes | None]:
    """The JSON of the value at `path` in a text; None where nothing is found there.

    Each step takes some microseconds. Raises BadAnswer (`not_json`) where it ends within that value.
    """
    within = _Text(text, _without_bom(text, 0), len(text))
    place = yield from _place_of(within, path)
    if place is None:
        return None
    begins, ends, _ = yield from _value(within, place)
    return text[begins:ends]


def name_at(text: bytes, position: int) -> tuple[bytes, int]:
    """The member's name that stands there, as a JSON string, and where its value begins."""
    found = _NAME.match(text, position)
    assert found is not None, "a name was found there before"
    return found[1], found.end()


def _entries(text: _Text, position: int, *, is_map: bool) -> Generator[Span | None, None, int]:
    """The spans of what a list, or an object, holds; gives where that ends."""
    whole, last = text.whole, text.ends
    flat_object, after_item = _FLAT_OBJECT.match, _AFTER_ITEM.match
    closing = b"}" if is_map else b"]"
    empty = text.match(_CLOSING, position)
    if empty is not None and empty[1] == closing:
        return empty.end()
    while True:
        name = -1
        if is_map:
            named = text.match(_NAME, position)
            if named is None:
                raise not_json()
            name, position = named.start(1), named.end()
        flat = flat_object(whole, position, last)
        if flat is not None:
            (begins, ends), depth = flat.span(1), 1
        else:
            begins, ends, depth = yield from _value(text, position)
        yield Span(name if is_map else begins, begins, ends, depth)
        after = after_item(whole, ends, last)
        if after is None or after[1] not in (b",", closing):
            raise not_json()
        position = after.end()
        if after[1] == closing:
            return position


def _value(text: _Text, position: int) -> Generator[None, None, tuple[int, int, int]]:
    """Where the value that stands there begins and ends, and how deep it is."""
    scalar = text.match(_SCALAR, position)
    if scalar is not None:
        return (*scalar.span(1), 0)
    opening = text.match(_OBJECT, position) or text.match(_LIST, position)
    if opening is None:
        raise not_json()
    begins = opening.start(1)
    return (begins, *(yield from _closing(text, begins)))


def _closing(text: _Text, begins: int) -> Generator[None, None, tuple[int, int]]:
    """Where the value that begins with a bracket ends, and how deep it is."""
    position, depth, deepest, count = begins, 0, 0, 0
    match, whole, last = _BRACKET.match, text.whole, text.ends
    while True:
        # Matched, not searched: from a string without an end a search would begin anew at every byte.
        found = match(whole, position, last)
        if found is None:
            raise not_json()
        position = found.end()
        depth += 1 if found[1] in b"{[" else -1
        deepest = max(deepest, depth)
        if depth == 0:
            return position, deepest
        count += 1
        if count % _BRACKETS_A_STEP == 0:
            yield


def _place_of(text: _Text, path: Path) -> Generator[None, None, int | None]:
    """Where the value at `path` begins, or white space before it; None where nothing is found there."""
    position: int | None = text.begins
    for name in path:
        assert position is not None
        if text.match(_OBJECT, position) is not None:
            position = yield from _member(text, position, name)
        elif is_index(name):
            position = yield from _element(text, position, int(name))
        else:
            position = None
        if position is None:
            return None
    return position


def _member(text: _Text, position: int, name: str) -> Generator[None, None, int | None]:
    """The place of the value that the object at `position` has under `name`."""
    after = text.match(_OBJECT, position)
    while after is not None:
        found = text.match(_NAME, after.end())
        if found is None:
            return None
        if _is_name(found[1], name):
            return found.end()
        end = yield from _value_end(text, found.end())
        after = None if end is None else text.match(_AFTER_MEMBER, end)
        yield
    return None


def _is_name(literal: bytes, name: str) -> bool:
    try:
        return bool(orjson.loads(literal) == name)
    except orjson.JSONDecodeError:
        return False


def _element(text: _Text, position: int, index: int) -> Generator[None, None, int | None]:
    """The place of the element that the list at `position` has there."""
    after = text.match(_LIST, position)
    if after is not None and text.match(_CLOSING, after.end()) is not None:
        return None
    for _ in range(index):
        end = None if after is None else (yield from _value_end(text, after.end()))
        after = None if end is None else text.match(_AFTER_MEMBER, end)
        yield
    return None if after is None else after.end()


def _value_end(text: _Text, position: int) -> Generator[None, None, int | None]:
    try:
        _, end, _ = yield from _value(text, position)
    except BadAnswer:
        return None
    return end


def _check_around(text: _Text, begins: int, ends: int, path: Path) -> None:
    """Checks what is around the items: as good as all of the text, with a short list in their place."""
    before, after = text.whole[text.begins : begins], text.whole[ends : text.ends]
    try:
        found = orjson.loads(before + orjson.dumps(_STAND_IN) + after)
    except orjson.JSONDecodeError:
        raise not_json() from None
    if found_at(found, path) != _STAND_IN:
        raise BadAnswer("no_list", "The upstream's answer has two members where its items should be.")


def _is_json(text: _Text) -> bool:
    """Whether it is JSON; True too where that takes too long to say."""
    if text.ends - text.begins > _TOLD_APART_BYTES:
        return True
    try:
        orjson.loads(text.whole[text.begins : text.ends])
    except orjson.JSONDecodeError:
        return False
    return True


def _no_items(shape: Shape) -> BadAnswer:
    what = "list" if shape == "list" else "object"
    return BadAnswer("no_list", f"The upstream's answer has no {what} where its items should be.")


def not_json() -> BadAnswer:
    """The error for an answer that no decoder would read."""
    return BadAnswer("not_json", "The upstream's answer is not JSON.")
