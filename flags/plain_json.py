"""Members of decoded JSON that another process wrote, read with their types and bounds. Pure.

Each raises ValueError where the member is missing, or is not what it is to be.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

_MOST = 2**63 - 1


def as_object(value: object, most: int) -> Mapping[str, Any]:
    """An object of at most `most` members."""
    if not isinstance(value, Mapping) or len(value) > most:
        raise ValueError(f"must be an object of at most {most} members")
    return value


def as_list(value: object, most: int) -> list[Any]:
    """A list of at most `most` elements."""
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"must be a list of at most {most} elements")
    return value


def as_row(value: object, length: int) -> list[Any]:
    """A list of exactly `length` elements."""
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"must be a list of {length} elements")
    return value


def as_count(value: object) -> int:
    """An integer from 0."""
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError("must be an integer from 0")
    return value


def as_amount(value: object) -> float:
    """A finite number from 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("must be a finite number from 0")
    return float(value)


def as_text(value: object, most: int) -> str:
    """Text of at most `most` characters."""
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"must be text of at most {most} characters")
    return value


def as_flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def as_counts(value: object, name: Callable[[str], Value]) -> dict[Value, int]:
    """An object of counts, by names that `name` knows: it raises ValueError for others."""
    return {name(key): as_count(count) for key, count in as_object(value, 1000).items()}
