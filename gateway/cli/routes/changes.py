"""Which members change from one answer to the next. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gateway.cli.routes.lists import pointer_of

_MAX_STEPS = 6
_NEEDED = 2


class Changes(NamedTuple):
    """Between two answers: how many items are in both, where how many of them changed, what came and went."""

    common: int
    members: Mapping[str, int]
    created: int
    deleted: int

    @property
    def restless(self) -> tuple[str, ...]:
        """Members that changed in most of the items, in so short a time: hardly for what happened to each."""
        return tuple(
            pointer
            for pointer, count in self.members.items()
            if self.common >= _NEEDED and 2 * count > self.common
        )


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """What changed between two answers, of which each has its items by key."""
    members: Counter[str] = Counter()
    common = before.keys() & after.keys()
    for key in common:
        members.update(set(differing(before[key], after[key])))
    return Changes(
        len(common),
        dict(sorted(members.items(), key=lambda member: (-member[1], member[0]))),
        len(after.keys() - common),
        len(before.keys() - common),
    )


def differing(one: Any, other: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Pointers to what differs between two values.

    Of lists of one length elements are `*` where they are alike, objects or lists, and else have their index:
    `[time, value]` is a pair, of which one may change all the time.
    """
    if len(path) < _MAX_STEPS and isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            if name in one and name in other:
                yield from differing(one[name], other[name], (*path, name))
            else:
                yield pointer_of((*path, name))
    elif (
        len(path) < _MAX_STEPS
        and isinstance(one, list)
        and isinstance(other, list)
        and len(one) == len(other)
    ):
        for index, (mine, its) in enumerate(zip(one, other, strict=True)):
            step = "*" if isinstance(mine, list | dict) else str(index)
            yield from differing(mine, its, (*path, step))
    elif one != other or isinstance(one, bool) is not isinstance(other, bool):
        yield pointer_of(path)
