"""Two answers of an upstream become the events that lead from the one to the other. No I/O.

Most items are the same bytes from poll to poll, and only those that are not are decoded. Everything goes in
steps of some microseconds, and nothing is held but where the items stand: a list may have a million of them.

Numbers: JSON integers beyond 64 bits become floats, as orjson reads them. Two of them that differ only
beyond a float's precision are the same value here; an item's key can't be one.
"""

from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from adapters.upstream.reading.items import BAD, GOOD, NONE, Items
from gateway.core.changes import member_suffix
from gateway.core.events import Event, json_size
from gateway.core.json_pointer import ABSENT, found_at, member_path, path_of
from gateway.core.times import rfc3339
from gateway.ports.legacy_route import LegacyRoute

_CREATED, _SAME = -1, -2
_ANY = None
_KEPT_UNLESS_FOUND = bytes(state == NONE for state in range(256))

Pattern = tuple[str | None, ...]
"""A path in which None stands for any one member or element."""


class Told(NamedTuple):
    """An event, the bytes of its JSON, and whether something had to be left out of it."""

    event: Event
    size: int
    is_cut: bool


class Comparison:
    """What leads from `old` to `new`; `now_ms` (wall time) is the events' timestamp.

    First `matching` is run to its end; then the rest is known.
    """

    def __init__(self, old: Items, new: Items, route: LegacyRoute, now_ms: int) -> None:
        self._old = old
        self._new = new
        self._route = route
        self._members = Members(route)
        self._timestamp = rfc3339(now_ms)
        # Of each new number that of the old item, or _CREATED, or _SAME where there is nothing to tell.
        self._was = array("i")
        self._kept = bytearray(old.states.translate(_KEPT_UNLESS_FOUND))
        self.count_before = self._kept.count(0)
        """How many items there were."""

    def matching(self) -> Iterator[None]:
        """Finds the counterpart of every item, in steps."""
        following = 0
        for number, (hashed, state) in enumerate(zip(self._new.hashes, self._new.states, strict=True)):
            found = None if state == NONE else self._counterpart(number, hashed, following)
            if found is None:
                self._was.append(_CREATED if state == GOOD else _SAME)
            else:
                candidate, is_same = found
                self._kept[candidate] = 1
                following = candidate + 1
                # What can't be compared is still there, and that is all that is known of it.
                self._was.append(_SAME if is_same or state == BAD else candidate)
            yield

    def _counterpart(self, number: int, hashed: int, following: int) -> tuple[int, bool] | None:
        """The old item with the key of a new one, and whether it is the same bytes; None where there is none.

        Most lists keep their order: the one that is `following` the last counterpart is likely to be it.
        """
        old, entry = self._old, self._new.entry(number)
        is_next = following < len(old.hashes) and old.hashes[following] == hashed
        if is_next and old.states[following] != NONE and old.entry(following) == entry:
            return following, True
        for candidate in old.numbers(hashed):
            is_same = old.entry(candidate) == entry
            if is_same or old.key(candidate) == self._new.key(number):
                return candidate, is_same
        return None

    @property
    def missing_count(self) -> int:
        """How many of them are gone."""
        return self._kept.count(0)

    @property
    def kept(self) -> bytes:
        """Of each old number, 0 where an item is gone, else 1."""
        return bytes(self._kept)

    def lacks_too(self, kept: bytes) -> bool:
        """Whether all that was gone in another comparison with the same old answer is gone here too."""
        return int.from_bytes(self._kept) & ~int.from_bytes(kept) == 0

    def told(self) -> Iterator[Sequence[Told]]:
        """The events, in steps: a step's are those of one item, mostly none.

        The order is fixed: first the deletions in the order of `old`, so that what took a deleted item's
        place comes after it; then created and changed items in the order of `new`; for one item first the
        changes that have a rule, in the order of the rules, then the one `<entity>_updated` for all others.

        An event over `route.max_event_bytes` is sent all the same, with less in it (see `_fit`).
        """
        route, old, new = self._route, self._old, self._new
        gone = self._kept.find(0)
        while gone >= 0:
            key, item = old.keyed(gone) if old.states[gone] == GOOD else (old.key(gone), None)
            yield [self._fit(f"{route.entity}_deleted", "delete", key, item, item)]
            gone = self._kept.find(0, gone + 1)
        for number, was in enumerate(self._was):
            if was == _SAME:
                yield ()
                continue
            key, after = new.keyed(number)
            if was == _CREATED:
                yield [self._fit(f"{route.entity}_created", "insert", key, after)]
            elif old.states[was] == BAD:
                yield [self._fit(f"{route.entity}_updated", "update", key, after, None)]
            else:
                before = old.item(was)
                yield [
                    self._fit(kind, "update", key, data, before)
                    for kind, data in self._members.changes(before, after)
                ]

    def _fit(
        self,
        kind: str,
        action: str,
        key: str,
        data: dict[str, Any] | None,
        *previous: dict[str, Any] | None,
    ) -> Told:
        """An event within `max_event_bytes`: whole, or without `previous`, or without `data` too.

        What was left out, or is None because it can't be read, is named in `metadata.omitted`, so that a
        reader knows to fetch the item itself.
        """
        route = self._route
        shown = {"data": data} | ({"previous": previous[0]} if previous else {})
        for left_out in ((), ("previous",), ("data", "previous")):
            kept = {name: item for name, item in shown.items() if item is not None and name not in left_out}
            omitted = [name for name in shown if name not in kept]
            event = Event(
                *(kind, route.entity, key, action, self._timestamp),
                source=route.source,
                data=kept.get("data"),
                previous=kept.get("previous"),
                metadata={"omitted": omitted} if omitted else None,
            )
            size = _size(event)
            if size is not None and size <= route.max_event_bytes:
                break
        return Told(event, size or 0, is_cut=bool(left_out))


def too_many_missing(comparison: Comparison, route: LegacyRoute) -> bool:
    """Whether more than `max_delete_ratio` of at least 10 items are gone at once."""
    count = comparison.count_before
    return count >= 10 and comparison.missing_count > route.max_delete_ratio * count


def same(one: Any, other: Any, ignored: Collection[Pattern] = ()) -> bool:
    """Whether two decoded JSON values are equal as JSON: 1 and 1.0 are, True and 1 are not, at any depth.

    What is at one of the `ignored` paths makes no difference, be it there or not.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict):
        if not isinstance(other, dict):
            return False
        if ignored:
            return all(
                same(one.get(name, ABSENT), other.get(name, ABSENT), below)
                for name in one.keys() | other.keys()
                if () not in (below := _below(ignored, name))
            )
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        if not isinstance(other, list):
            return False
        if ignored:
            return same(_by_index(one), _by_index(other), ignored)
        return len(one) == len(other) and all(same(value, other[index]) for index, value in enumerate(one))
    return bool(one == other)


def derived_members(route: LegacyRoute) -> frozenset[str]:
    """The members that the events of `route` add to an item.

    Those are the old and the new value of what changed, and the members of the route itself.
    """
    suffixes = [_suffix(member, route) for member in route.changes]
    changes = [prefix + suffix for suffix in suffixes for prefix in ("previous", "new")]
    return frozenset(changes) | route.members.keys()


class Members:
    """Which members of an item count, and which event tells of a change."""

    def __init__(self, route: LegacyRoute) -> None:
        self._route = route
        ignored = [path_of(pointer) for pointer in route.ignore]
        self._ignored = [tuple(_ANY if token == "*" else token for token in path) for path in ignored]
        self._rules = [
            (kind, member_path(member), _suffix(member, route)) for member, kind in route.changes.items()
        ]
        self._told = [*self._ignored, *(path for _, path, _ in self._rules)]

    def changes(self, before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The events' types and data: first those of the rules, in their order, then one for all the rest."""
        changes = []
        for kind, path, suffix in self._rules:
            old, new = found_at(before, path), found_at(after, path)
            ignored: Collection[Pattern] = self._ignored
            for token in path:
                ignored = _below(ignored, token)
            if () in ignored or same(old, new, ignored):
                continue
            # An absent member gives none of the two: absent is not null. Where the item has a member of such
            # a name itself, the change wins; the item's own value is still to be had from the upstream.
            data = dict(after)
            for prefix, value in (("previous", old), ("new", new)):
                data.pop(prefix + suffix, None)
                if value is not ABSENT:
                    data[prefix + suffix] = value
            changes.append((kind, data))
        if not same(before, after, self._told):
            changes.append((f"{self._route.entity}_updated", after))
        return changes


def _by_index(elements: list[Any]) -> dict[str, Any]:
    return {str(index): element for index, element in enumerate(elements)}


def _suffix(member: str, route: LegacyRoute) -> str:
    return member_suffix(member_path(member)[-1], route.entity)


def _below(patterns: Collection[Pattern], token: str) -> list[Pattern]:
    """What the patterns are that begin with `token`, behind it."""
    return [pattern[1:] for pattern in patterns if pattern and pattern[0] in (_ANY, token)]


def _size(event: Event) -> int | None:
    try:
        return json_size(event)
    except TypeError:
        # The event nests its item one level deeper, which can pass what orjson writes.
        return None
