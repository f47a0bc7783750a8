"""How much memory decoded JSON takes, roughly, for what is kept within bounds. Pure."""

from collections.abc import Mapping
from typing import Any

_VALUES = 8
_CHARACTERS = 512
"""So many values without text, or so much text, make one: some 0.5 to 1 KiB."""


def json_weight(value: Any) -> int:
    """0 for what is small, such as the claims of most tokens; 150 for a list of a thousand short texts."""
    values = characters = 0
    left = [value]
    while left:
        one = left.pop()
        values += 1
        if isinstance(one, str):
            characters += len(one)
        elif isinstance(one, Mapping):
            left += one
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
    return (values * _CHARACTERS + characters * _VALUES) // (_VALUES * _CHARACTERS)
