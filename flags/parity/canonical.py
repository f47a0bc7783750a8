"""When two items are the same, and where they differ. Pure.

An item is a JSON object, kept as compact JSON with sorted members: bytes cost a tenth of the memory of
decoded objects, and most comparisons end at equal bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any, NamedTuple

import orjson

Path = tuple[str, ...]

ANY = "*"
"""In a rule's pointer, any one member or index."""

MAX_DIFFERENCES = 16
"""How many places of one item are named at most: a human reads no more, and an item may have thousands."""

_MAX_UNMATCHED = 64
_ABSENT = object()


class Side(Enum):
    """Of two items the one that was pushed, or the one that was polled."""

    PUSHED = "pushed"
    POLLED = "polled"

    @property
    def other(self) -> "Side":
        return Side.POLLED if self is Side.PUSHED else Side.PUSHED


class Difference(NamedTuple):
    """One place in which two items differ: a JSON pointer (RFC 6901), and the value on either side.

    A value is None both where the item has a null there and where it has nothing: `only` is the side that has
    something there, None where both do.
    """

    pointer: str
    pushed: Any
    polled: Any
    only: Side | None = None


@dataclass(frozen=True, slots=True)
class ComparisonRules:
    """What a comparison overlooks. `STRICT` overlooks nothing.

    `ignored` and `unordered` are paths: subtrees that don't count, and lists whose order does not.
    `numeric_tolerance` is how far two numbers may be apart. `derived` are members of the item itself that
    the events add to it (`previousStage`, `newStage`): they are no part of the state, on neither side.
    """

    ignored: frozenset[Path] = frozenset()
    unordered: frozenset[Path] = frozenset()
    numeric_tolerance: float = 0.0
    derived: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        ignored: Iterable[str] = (),
        unordered: Iterable[str] = (),
        numeric_tolerance: float = 0.0,
        derived: Iterable[str] = (),
    ) -> "ComparisonRules":
        """The rules that these JSON pointers write; in them `*` stands for any one member or index.

        Raises ValueError for what is no JSON pointer, for an ignored "" (it would ignore everything), and for
        a tolerance that is negative or not finite.
        """
        if not 0 <= numeric_tolerance < float("inf"):
            raise ValueError("the numeric tolerance must be 0 or more, and finite")
        overlooked = frozenset(parse_pointer(pointer) for pointer in ignored)
        if () in overlooked:
            raise ValueError('the pointer "" would ignore everything')
        orderless = frozenset(parse_pointer(pointer) for pointer in unordered)
        return cls(overlooked, orderless, numeric_tolerance, frozenset(derived))


STRICT = ComparisonRules()


def parse_pointer(text: str) -> Path:
    """The tokens of a JSON pointer (RFC 6901, sections 3 and 4). Raises ValueError where it is none."""
    if text and not text.startswith("/"):
        raise ValueError(f"a JSON pointer starts with a slash: {text!r}")
    tokens = text.split("/")[1:]
    for token in tokens:
        if "~" in token.replace("~0", "").replace("~1", ""):
            raise ValueError(f"~ is written ~0 in a JSON pointer: {text!r}")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def canonical(item: Mapping[str, Any], rules: ComparisonRules = STRICT) -> bytes:
    """`item` without its derived members, as compact JSON with sorted members.

    Raises TypeError where it can't be written as JSON (orjson stops at 254 levels).
    """
    if not rules.derived.isdisjoint(item):
        item = {name: value for name, value in item.items() if name not in rules.derived}
    # What orjson gives keeps its whole buffer, 4 KiB, however short it is: a copy has its own size.
    return bytes(memoryview(orjson.dumps(item, option=orjson.OPT_SORT_KEYS)))


def differences(
    pushed: bytes, polled: bytes, rules: ComparisonRules = STRICT, limit: int = MAX_DIFFERENCES
) -> list[Difference]:
    """Where two items differ under `rules`, at most `limit` places; none: they are the same.

    Both are JSON documents. Values compare as JSON values: 1 and 1.0 are equal, true and 1 are not. A list
    whose order does not count differs as a whole; so does one in which more than 64 elements have no equal
    on the other side, whatever the tolerance.
    """
    if pushed == polled:
        return []
    found = _walk(orjson.loads(pushed), orjson.loads(polled), (), rules)
    return list(islice(found, limit))


def same_value(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, true and 1 are not."""
    return next(_walk(one, other, (), STRICT), None) is None


def contradicts(part: Mapping[str, Any], whole: bytes, rules: ComparisonRules) -> bool:
    """Whether a member of `part` differs from the same member of the item `whole`.

    Members that `part` lacks say nothing: an event's `previous` may hold only what changed.
    """
    item = orjson.loads(whole)
    return any(
        next(_walk(value, item.get(name, _ABSENT), (name,), rules), None) is not None
        for name, value in part.items()
        if name not in rules.derived
    )


def _walk(one: Any, other: Any, path: Path, rules: ComparisonRules) -> Iterator[Difference]:
    if rules.ignored and _named(path, rules.ignored):
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _walk(one.get(name, _ABSENT), other.get(name, _ABSENT), (*path, name), rules)
    elif isinstance(one, list) and isinstance(other, list):
        yield from _walk_lists(one, other, path, rules)
    elif not _same_scalar(one, other, rules.numeric_tolerance):
        yield _difference(one, other, path)


def _walk_lists(one: list[Any], other: list[Any], path: Path, rules: ComparisonRules) -> Iterator[Difference]:
    if rules.unordered and _named(path, rules.unordered):
        if not _same_elements(one, other, (*path, ANY), rules):
            yield _difference(one, other, path)
        return
    for index in range(max(len(one), len(other))):
        left = one[index] if index < len(one) else _ABSENT
        right = other[index] if index < len(other) else _ABSENT
        yield from _walk(left, right, (*path, str(index)), rules)


def _difference(one: Any, other: Any, path: Path) -> Difference:
    pointer = "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in path)
    if one is _ABSENT:
        return Difference(pointer, None, other, Side.POLLED)
    if other is _ABSENT:
        return Difference(pointer, one, None, Side.PUSHED)
    return Difference(pointer, one, other)


def _named(path: Path, patterns: frozenset[Path]) -> bool:
    return any(
        len(pattern) == len(path)
        and all(wanted in (ANY, token) for wanted, token in zip(pattern, path, strict=True))
        for pattern in patterns
    )


def _same_scalar(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or abs(one - other) <= tolerance
    return type(one) is type(other) and bool(one == other)


def _same_elements(one: list[Any], other: list[Any], path: Path, rules: ComparisonRules) -> bool:
    """Whether every element of the one list has a partner of its own in the other."""
    if len(one) != len(other):
        return False
    counts: dict[bytes, int] = {}
    for element in other:
        written = orjson.dumps(element, option=orjson.OPT_SORT_KEYS)
        counts[written] = counts.get(written, 0) + 1
    left = _unmatched(one, counts)
    if not left:
        return True
    if len(left) > _MAX_UNMATCHED:
        return False
    right = [orjson.loads(written) for written, count in counts.items() for _ in range(count)]
    partners = [
        [index for index, candidate in enumerate(right) if not any(_walk(element, candidate, path, rules))]
        for element in left
    ]
    return _all_paired(partners)


def _unmatched(elements: list[Any], counts: dict[bytes, int]) -> list[Any]:
    """The elements that `counts` has no equal for; those that it has are taken out of it."""
    left = []
    for element in elements:
        written = orjson.dumps(element, option=orjson.OPT_SORT_KEYS)
        if counts.get(written, 0):
            counts[written] -= 1
        else:
            left.append(element)
    return left


def _all_paired(partners: Sequence[Sequence[int]]) -> bool:
    """Whether each gets a partner of its own: bipartite matching by augmenting paths (Kuhn's algorithm).

    Taking the first that fits would not do: with a tolerance, what fits one may be all that fits another.
    """
    taken: dict[int, int] = {}

    def place(left: int, tried: set[int]) -> bool:
        for right in partners[left]:
            if right not in tried:
                tried.add(right)
                if right not in taken or place(taken[right], tried):
                    taken[right] = left
                    return True
        return False

    return all(place(left, set()) for left in range(len(partners)))
