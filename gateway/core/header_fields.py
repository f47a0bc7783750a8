"""Header fields at the gateway's borders: what their bytes say, what may be sent on, and how much may come.

aiohttp reads fields as UTF-8, keeps any other byte as a lone surrogate, and takes control characters from an
upstream; it drops the former when it writes, and fails on the latter. So does whatever keeps text as UTF-8.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from multidict import CIMultiDict

MAX_HEAD_BYTES = 32_768
"""What the fields' names and values of an upstream's answer may have in all."""
MAX_FIELDS = 256
"""How many fields it may have."""

# RFC 9110, section 5.5: of the control characters only a tab may stand in a field's value.
_UNSENDABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_VALIDATORS = frozenset({"etag", "last-modified"})


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How long the target of a request may be (RFC 9110, section 15.5.15), and its header fields in all.

    Those are counted by the bytes of their names and values, and by their number.
    """

    url_bytes: int = 16_384
    head_bytes: int = MAX_HEAD_BYTES
    head_fields: int = MAX_FIELDS


def text_of(value: str) -> str:
    """A field's text as aiohttp gives it, without lone surrogates.

    What is no UTF-8 is taken as Latin-1, in which every byte says something (RFC 9110, section 5.5).
    """
    if value.isascii():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def is_sendable(value: str) -> bool:
    """Whether aiohttp sends `value` as the very bytes that it came as: UTF-8, and no control characters."""
    return _UNSENDABLE.search(value) is None


def passed_on(fields: Iterable[tuple[str, str]]) -> tuple[CIMultiDict[str], int]:
    """`fields` with their text, and how many were left out because they can't be sent.

    A validator that would go out as other bytes is left out too: given back it would name something else.
    """
    taken: CIMultiDict[str] = CIMultiDict()
    left_out = 0
    for name, value in fields:
        text = text_of(value)
        is_whole = text == value or name.lower() not in _VALIDATORS
        if is_whole and is_sendable(name) and is_sendable(text):
            taken.add(name, text)
        else:
            left_out += 1
    return taken, left_out


def sendable(fields: Mapping[str, str]) -> dict[str, str]:
    """Those of `fields` that go out as they came in: validators that do not would be others."""
    return {name: value for name, value in fields.items() if is_sendable(value)}


def size_of(raw_fields: Iterable[tuple[bytes, bytes]]) -> int:
    """How many bytes the names and values of a message's fields have in all."""
    size = 0
    for name, value in raw_fields:
        size += len(name) + len(value)
    return size
