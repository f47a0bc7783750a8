"""JSON pointers (RFC 6901) into decoded JSON values."""

import re
from typing import Any

Path = tuple[str, ...]
"""The tokens of a pointer, as they stand in the value."""

ABSENT = object()
"""What stands where nothing does: null is a value."""

_INDEX = re.compile(r"(0|[1-9][0-9]*)\Z", re.ASCII)


def path_of(pointer: str) -> Path:
    """The tokens of a pointer that is well formed: "" is the whole value (sections 3 and 4)."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def member_path(member: str) -> Path:
    """The path of a member, by its name or by a pointer to it: a pointer begins with a slash."""
    return path_of(member) if member.startswith("/") else (member,)


def is_index(token: str) -> bool:
    """Whether a token names an element of a list (section 4)."""
    return _INDEX.match(token) is not None


def found_at(value: Any, path: Path) -> Any:
    """What `value` holds at `path`; ABSENT where there is nothing."""
    for token in path:
        if isinstance(value, dict):
            value = value.get(token, ABSENT)
        elif isinstance(value, list) and is_index(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return ABSENT
    return value
