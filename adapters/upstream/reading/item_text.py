"""One item of an answer, decoded, or what keeps it from being one. No I/O."""

import json
from typing import Any

import orjson

from adapters.upstream.reading.json_list import not_json

_SHALLOW = 250
"""What is not deeper can be written by orjson, which stops at 254 levels, as a member of an event too."""

_MOST_DIGITS = 20


def decoded(raw: bytes, depth: int) -> tuple[dict[str, Any] | None, str | None]:
    """The object that stands there, `depth` brackets deep, and what is wrong with it, if anything is.

    That is `not_an_object`, with no object; `unreadable`: JSON as browsers read it and orjson does not, such
    as half of a surrogate pair, bytes that are no UTF-8, a number beyond what a double holds; or `too_deep`,
    with no object where it is too deep to be read. Raises BadAnswer (`not_json`) for what nobody reads.
    """
    try:
        item, kind = orjson.loads(raw), None
        if depth > _SHALLOW:
            orjson.dumps(item)
    except orjson.JSONDecodeError:
        if depth > _SHALLOW:
            return None, "too_deep"
        item, kind = _as_browsers_read(raw), "unreadable"
    except TypeError:
        # orjson stops at 254 levels when it writes, although it reads deeper ones.
        kind = "too_deep"
    return (item, kind) if isinstance(item, dict) else (None, "not_an_object")


def decoded_leniently(raw: bytes) -> dict[str, Any]:
    """An object that `decoded` gave, whatever was wrong with it."""
    try:
        item: dict[str, Any] = orjson.loads(raw)
    except orjson.JSONDecodeError:
        item = _as_browsers_read(raw)
    return item


def _as_browsers_read(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode(errors="replace"), parse_int=_number, parse_constant=_refuse)
    except ValueError:
        raise not_json() from None


def _number(digits: str) -> int | float:
    # Python reads no integer of thousands of digits; for a browser any number is a double.
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
