"""Where the items of a JSON value may stand. Pure."""

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

ENVELOPES = frozenset(
    {
        *("items", "data", "results", "result", "docs", "documents", "hits", "value", "values", "records"),
        *("entries", "rows", "nodes", "edges", "content", "contents", "elements", "list", "objects"),
        *("resources", "member", "hydra:member", "_embedded", "arguments", "response", "payload", "body"),
    }
)
"""Names that say that something is within, and not what."""

MAX_DEPTH = 250
"""What is deeper can't be a member of an event (adapters/upstream/reading/items.py)."""

_MAX_POINTER_STEPS = 5
_MAX_VISITED = 2000
_MAX_ITEMS = 2000
_MAX_POINTER = 200


class Found(NamedTuple):
    """Items at `path`: `total` members of a list or a map there, of which `items` are the first objects."""

    path: tuple[str, ...]
    shape: Literal["list", "map"]
    items: Sequence[dict[str, Any]]
    total: int

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer (RFC 6901)."""
        return pointer_of(self.path)

    @property
    def name(self) -> str:
        """What the items are called there; "" where nothing says it."""
        return next((step for step in reversed(self.path) if step.lower() not in ENVELOPES), "")


def pointer_of(path: Sequence[str]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def steps_of(part: str) -> tuple[str, ...]:
    """The steps of a member that is given by its name, or by a pointer."""
    if not part.startswith("/"):
        return (part,)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in part[1:].split("/"))


def depth_of(value: Any) -> int:
    """How many lists and objects stand in one another, at most; 0 for a value that is neither."""
    depth, level = 0, [value]
    while level := [member for member in level if isinstance(member, list | dict) and member]:
        depth += 1
        level = [
            inner for member in level for inner in (member.values() if isinstance(member, dict) else member)
        ]
    return depth


def found_in(value: Any) -> list[Found]:
    """Where lists of objects and maps of objects stand in `value`, the likeliest first.

    It does not look into lists, nor deeper than five steps; a list without objects counts where it is empty.
    """
    found = list(_walk(value))
    return sorted(found, key=lambda one: _rank(one, value))


def _walk(value: Any) -> Iterator[Found]:
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((), value)])
    visited = 0
    while waiting and visited < _MAX_VISITED:
        path, here = waiting.popleft()
        visited += 1
        if isinstance(here, list):
            objects = [item for item in here[:_MAX_ITEMS] if isinstance(item, dict)]
            if not here or 2 * len(objects) >= min(len(here), _MAX_ITEMS):
                yield Found(path, "list", objects, len(here))
        elif isinstance(here, dict):
            if _is_map(here):
                yield Found(path, "map", list(here.values())[:_MAX_ITEMS], len(here))
            if len(path) < _MAX_POINTER_STEPS:
                waiting.extend(
                    ((*path, name), member)
                    for name, member in list(here.items())[:_MAX_VISITED]
                    if isinstance(member, list | dict) and len(pointer_of((*path, name))) <= _MAX_POINTER
                )


def _is_map(value: Mapping[str, Any]) -> bool:
    """Whether the names of the members look like keys: all are objects, and alike."""
    members = list(value.values())[:_MAX_ITEMS]
    if len(members) < 2 or not all(isinstance(member, dict) for member in members):
        return False
    common = set.intersection(*(set(member) for member in members))
    widest = max(len(member) for member in members)
    plain = {name for name in common if not isinstance(members[0][name], list | dict)}
    if len(common) == widest == 1:
        # So little is alike by chance among two.
        return bool(plain) and len(members) > 2
    return bool(plain) and len(common) >= 2 and 2 * len(common) >= widest


_PLAIN_NAME = re.compile(r"[A-Za-z_@$][\w@$:.-]*\Z")


def _rank(found: Found, root: Any) -> tuple[Any, ...]:
    """The likelier the lower: what has items, is a list, is called so, and is not deep."""
    last = found.path[-1].lower() if found.path else "items"
    is_plain = all(_PLAIN_NAME.match(step) for step in found.path)
    return (
        not found.items,
        not is_plain,
        found.shape == "map",
        len(found.path) - (1.5 if last in ENVELOPES else 0),
        -found.total,
        found.path,
    )
