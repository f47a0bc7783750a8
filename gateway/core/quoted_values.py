"""The values of a query parameter, joined with commas; one may stand in quotes, and hold commas there. Pure.

The grammar is docs/protocol.md, section 3: `"` opens quotes where a value begins and nowhere else, and within
them `\\"` and `\\\\` stand for a quote and a backslash.
"""

import re
from typing import NamedTuple

from gateway.core.errors import BadParameter

_QUOTED = re.compile(r'"([^"\\]*(?:\\["\\][^"\\]*)*)"')
_ESCAPED = re.compile(r'\\(["\\])')
_PLAIN = re.compile(r"[^,]*")


class Value(NamedTuple):
    """One value; `end` is where what follows it begins."""

    text: str
    is_quoted: bool
    end: int


def read_value(parameter: str, joined: str, start: int) -> Value:
    """The value that begins at `start`, up to the next comma outside quotes, or the end of `joined`.

    Raises BadParameter naming `parameter` where its quotes are malformed.
    """
    if joined.startswith('"', start):
        return read_quoted(parameter, joined, start, ",")
    plain = _PLAIN.match(joined, start)
    assert plain is not None, "the pattern matches nothing, too"
    return Value(plain[0], False, plain.end())


def read_quoted(parameter: str, joined: str, start: int, marks: str) -> Value:
    """The value in the quotes that open at `start`; one of `marks`, or the end of `joined`, follows it.

    Raises BadParameter naming `parameter`.
    """
    found = _QUOTED.match(joined, start)
    if found is None:
        raise BadParameter(
            parameter, 'a value that begins with a quote ends with one; write \\" and \\\\ for " and \\ in it'
        )
    if joined[found.end() : found.end() + 1] not in marks:
        raise BadParameter(parameter, "text stands after a closing quote")
    return Value(_ESCAPED.sub(r"\1", found[1]), True, found.end())


def written(text: str) -> str:
    """`text` as a value that reads as this text: in quotes where it would not without."""
    if "," not in text and not text.startswith('"'):
        return text
    return in_quotes(text)


def in_quotes(text: str) -> str:
    """`text` as a value in quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
