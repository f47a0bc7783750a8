"""By which members the items of an answer may be known. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from gateway.cli.routes.lists import pointer_of
from gateway.core.events import has_control_characters

_IDS = frozenset({"id", "uid", "uuid", "guid", "pk"})
_LIKE_IDS = frozenset(
    {"key", "fingerprint", "hash", "hashstring", "slug", "code", "number", "ref", "sku", "digest"}
)
_NAMES = frozenset({"name", "path", "href", "url", "uri", "self", "title", "file", "filename"})
_NO_KEYS = re.compile(
    r"(creat|updat|modif|chang)(e|ed)?(at|on|time|date)?$|time(stamp)?$|date$|total|amount|price|count|sum$|age"
    r"(ms|seconds)?$|version$|^(size|score|rank|position|index|status|state|phase|type|kind)$"
)
_WORDS = re.compile(r"[^a-z0-9]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]|\Z)")
_MAX_CHARACTERS = 256
_MAX_CANDIDATES = 12
_UNLIKELY = 3.0


class KeyGuess(NamedTuple):
    """A key of one member or several, each by its name or a pointer; a higher `rank` is less likely."""

    parts: tuple[str, ...]
    is_unique: bool
    rank: float

    @property
    def is_likely(self) -> bool:
        """Whether it is unique, and its name says that it is a key."""
        return self.is_unique and self.rank < _UNLIKELY


class _Candidate(NamedTuple):
    path: tuple[str, ...]
    values: Sequence[str]
    rank: float

    @property
    def part(self) -> str:
        name = self.path[0]
        return name if len(self.path) == 1 and not name.startswith("/") else pointer_of(self.path)


def keys_of(items: Sequence[dict[str, Any]], entity: str = "") -> list[KeyGuess]:
    """The keys that `items`, which are not none, may have, the likeliest first; those of an `entity`.

    Single members that are unique come first, then two or three that are so together, then what is there in
    all of them but not unique.
    """
    candidates = sorted(_candidates(items, entity), key=lambda one: (one.rank, one.path))
    unique = [one for one in candidates if len(set(one.values)) == len(items)]
    guesses = [KeyGuess((one.part,), True, one.rank) for one in unique]
    if not guesses:
        guesses = list(_composite(candidates[:_MAX_CANDIDATES], len(items)))
    return guesses + [KeyGuess((one.part,), False, one.rank) for one in candidates if one not in unique]


def key_value(item: Any, path: Sequence[str]) -> str | None:
    """The text of an item's member where it can be a key: text or an integer, as an entity's id may be."""
    for step in path:
        item = item.get(step) if isinstance(item, dict) else None
    if isinstance(item, bool) or not isinstance(item, str | int):
        return None
    text = str(item)
    return text if 1 <= len(text) <= _MAX_CHARACTERS and not has_control_characters(text) else None


def _composite(candidates: Sequence[_Candidate], count: int) -> Iterator[KeyGuess]:
    for size in (2, 3):
        found = [
            KeyGuess(tuple(one.part for one in parts), True, sum(one.rank for one in parts))
            for parts in combinations(candidates, size)
            if len(set(zip(*(one.values for one in parts), strict=True))) == count
        ]
        if found:
            yield from sorted(found, key=lambda guess: guess.rank)
            return


def _candidates(items: Sequence[dict[str, Any]], entity: str) -> Iterator[_Candidate]:
    for path in _paths(items[0]):
        values = []
        for item in items:
            value = key_value(item, path)
            if value is None:
                break
            values.append(value)
        else:
            rank = _rank(path, items[0], values, entity)
            if rank is not None:
                yield _Candidate(path, values, rank)


def _paths(item: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in item.items():
        if not _is_name(name):
            continue
        if isinstance(value, dict):
            yield from ((name, inner) for inner in value if _is_name(inner))
            below = [(inner, deeper) for inner, deeper in value.items() if isinstance(deeper, dict)]
            yield from (
                (name, inner, last)
                for inner, deep in below
                for last in deep
                if _is_name(inner) and _is_name(last)
            )
        else:
            yield (name,)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= 64 and name.isprintable()


def _rank(path: Sequence[str], item: dict[str, Any], values: Sequence[str], entity: str) -> float | None:
    """How unlikely it is that this is the key; None where it can't be."""
    name = _WORDS.sub("", path[-1].lower())
    depth = 0.5 * (len(path) - 1)
    own = _WORDS.sub("", entity.lower())
    if name in _IDS or (
        own and name in {own + suffix for suffix in ("id", "uid", "uuid", "key", "no", "number", "nr")}
    ):
        return depth
    if name in _LIKE_IDS or name.endswith(("id", "uuid", "key", "hash")):
        return 1 + depth
    if _DATE.match(values[0]) or _NO_KEYS.search(name):
        return 6 + depth
    if name in _NAMES or name.endswith(("url", "name", "path")):
        return 2 + depth
    of_item: Any = item
    for step in path:
        of_item = of_item[step]
    return (3 if isinstance(of_item, str) else 4) + depth
