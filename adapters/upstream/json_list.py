"""Where the items of a list stand in a JSON text, found without decoding the text. No I/O.

orjson decodes a text in one piece: it holds the interpreter for some 10 ms a megabyte, and its objects take
ten times the memory of the text. Here brackets are counted, past the strings, and each item is decoded by
itself. Together these say what one decoder would say of the whole: each item is JSON, only commas stand
between them, and what is around the list is JSON with another list in its place.
"""

import re
from collections.abc import Generator

import orjson

from adapters.upstream.failures import BadAnswer

Span = tuple[int, int, int]
"""Where an item begins and ends in the text, and how many brackets it is deep."""

_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TO_BRACKET = rb'[^{}\[\]"]*+(?:' + _STRING + rb'[^{}\[\]"]*+)*+'
_FLAT_OBJECT = re.compile(_SPACE + rb"(\{" + _TO_BRACKET + rb"\})", re.DOTALL)
_BRACKET = re.compile(_TO_BRACKET + rb"([{}\[\]])", re.DOTALL)
_SCALAR = re.compile(_SPACE + rb"(?:" + _STRING + rb'|[^ \t\n\r,\[\]{}"]++)', re.DOTALL)
_NAME = re.compile(_SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":", re.DOTALL)
_OBJECT, _LIST = re.compile(_SPACE + rb"\{"), re.compile(_SPACE + rb"\[")
_END_OF_LIST = re.compile(_SPACE + rb"\]")
_AFTER_ITEM = re.compile(_SPACE + rb"([,\]])")
_AFTER_MEMBER = re.compile(_SPACE + rb",")
_OTHER_VALUE = re.compile(_SPACE + rb'["\[\-0-9tfn]')
_INDEX = re.compile(r"(0|[1-9][0-9]*)\Z", re.ASCII)

_BRACKETS_A_STEP = 256
_TOLD_APART_BYTES = 65_536
"""Up to so many bytes, a text without the list is decoded to say whether it is JSON at all."""
_STAND_IN = ["the list"]


def items_in(text: bytes, pointer: str) -> Generator[Span | None, None, None]:
    """The spans of the list at `pointer` (RFC 6901), in order; None where it only took a while.

    Each step takes some microseconds. Raises BadAnswer: `not_json`, `no_list`, `not_an_object`; what is
    within an item is for the caller to decode.
    """
    start = _list_start(text, pointer)
    if start is None:
        raise _without_list(text)
    empty = _END_OF_LIST.match(text, start)
    position = start if empty is None else empty.end()
    index, is_open = 0, empty is None
    while is_open:
        found = _FLAT_OBJECT.match(text, position)
        if found is not None:
            span = (*found.span(1), 1)
        else:
            opening = _OBJECT.match(text, position)
            if opening is None:
                raise _no_object(text, position, index)
            begins = opening.end() - 1
            span = (begins, *(yield from _closing(text, begins)))
        yield span
        after = _AFTER_ITEM.match(text, span[1])
        if after is None:
            raise _not_json()
        position, index, is_open = after.end(), index + 1, after[1] == b","
    _check_around(text, start - 1, position, pointer)


def _closing(text: bytes, begins: int) -> Generator[None, None, tuple[int, int]]:
    """Where the value that begins with a bracket ends, and how deep it is."""
    position, depth, deepest, count = begins, 0, 0, 0
    while True:
        # Matched, not searched: from a string without an end a search would begin anew at every byte.
        found = _BRACKET.match(text, position)
        if found is None:
            raise _not_json()
        position = found.end()
        depth += 1 if found[1] in b"{[" else -1
        deepest = max(deepest, depth)
        if depth == 0:
            return position, deepest
        count += 1
        if count % _BRACKETS_A_STEP == 0:
            yield


def _list_start(text: bytes, pointer: str) -> int | None:
    """The place right after the list's opening bracket; None where no list is found there."""
    position: int | None = 0
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        assert position is not None
        if _OBJECT.match(text, position) is not None:
            position = _member(text, position, name)
        elif _INDEX.match(name):
            position = _element(text, position, int(name))
        else:
            position = None
        if position is None:
            return None
    assert position is not None
    opening = _LIST.match(text, position)
    return None if opening is None else opening.end()


def _member(text: bytes, position: int, name: str) -> int | None:
    """The place of the value that the object at `position` has under `name`."""
    after = _OBJECT.match(text, position)
    while after is not None:
        found = _NAME.match(text, after.end())
        if found is None:
            return None
        if _is_name(found[1], name):
            return found.end()
        end = _value_end(text, found.end())
        after = None if end is None else _AFTER_MEMBER.match(text, end)
    return None


def _is_name(literal: bytes, name: str) -> bool:
    try:
        return bool(orjson.loads(literal) == name)
    except orjson.JSONDecodeError:
        return False


def _element(text: bytes, position: int, index: int) -> int | None:
    """The place of the element that the list at `position` has there."""
    after = _LIST.match(text, position)
    for _ in range(index):
        end = None if after is None else _value_end(text, after.end())
        after = None if end is None else _AFTER_MEMBER.match(text, end)
    return None if after is None else after.end()


def _value_end(text: bytes, position: int) -> int | None:
    scalar = _SCALAR.match(text, position)
    if scalar is not None:
        return scalar.end()
    opening = _OBJECT.match(text, position) or _LIST.match(text, position)
    if opening is None:
        return None
    steps = _closing(text, opening.end() - 1)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            end: int = done.value[0]
            return end
        except BadAnswer:
            return None


def _check_around(text: bytes, begins: int, ends: int, pointer: str) -> None:
    """Checks what is around the list, which is as good as all of the text with a short list in its place."""
    try:
        found = orjson.loads(text[:begins] + orjson.dumps(_STAND_IN) + text[ends:])
    except orjson.JSONDecodeError:
        raise _not_json() from None
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found[name]
    if found != _STAND_IN:
        raise BadAnswer("no_list", "The upstream's answer has two members where its items should be.")


def _without_list(text: bytes) -> BadAnswer:
    if len(text) <= _TOLD_APART_BYTES:
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return _not_json()
    return BadAnswer("no_list", "The upstream's answer has no list where its items should be.")


def _no_object(text: bytes, position: int, index: int) -> BadAnswer:
    if _OTHER_VALUE.match(text, position) is None:
        return _not_json()
    return BadAnswer("not_an_object", f"Item {index} of the upstream's answer is not an object.")


def _not_json() -> BadAnswer:
    return BadAnswer("not_json", "The upstream's answer is not JSON.")
