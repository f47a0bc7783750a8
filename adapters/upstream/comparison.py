"""Two answers of an upstream become the events that lead from the one to the other. No I/O.

Most items are the same bytes from poll to poll, and only those that are not are decoded. Everything goes in
steps of some microseconds, and nothing is held but where the items stand: a list may have a million of them.

Numbers: JSON integers beyond 64 bits become floats, as orjson reads them. Two of them that differ only
beyond a float's precision are the same value here; an item's key can't be one.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from adapters.upstream.items import Items
from gateway.core.changes import member_suffix
from gateway.core.events import Event, json_size
from gateway.core.times import rfc3339
from gateway.ports.legacy_route import LegacyRoute

_CREATED, _SAME = -1, -2
_ABSENT = object()


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
        self._timestamp = rfc3339(now_ms)
        # Of each new item the number of the old one, or _CREATED or _SAME.
        self._was = array("i")
        self.count_before = len(old)
        """How many items there were."""
        self._kept = bytearray(self.count_before)

    def matching(self) -> Iterator[None]:
        """Finds the counterpart of every item, in steps."""
        old, new, member = self._old, self._new, self._route.keys[0]
        following = 0
        for number, hashed in enumerate(new.hashes):
            # Most lists keep their order: what follows the last counterpart is likely to be the next.
            is_next = following < self.count_before and old.hashes[following] == hashed
            candidates: Iterator[int] | tuple[int] = (following,) if is_next else old.numbers(hashed)
            found, raw = _CREATED, new.raw(number)
            for candidate in candidates:
                before = old.raw(candidate)
                if before == raw:
                    found = _SAME
                elif str(orjson.loads(before)[member]) == str(orjson.loads(raw)[member]):
                    found = candidate
                else:
                    continue
                self._kept[candidate] = 1
                following = candidate + 1
                break
            self._was.append(found)
            yield

    @property
    def missing_count(self) -> int:
        """How many of them are gone."""
        return self._kept.count(0)

    @property
    def kept(self) -> bytes:
        """Of each old item, by number, 1 where it is still there, else 0."""
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
            item = orjson.loads(old.raw(gone))
            yield [self._fit(f"{route.entity}_deleted", "delete", item, item, item)]
            gone = self._kept.find(0, gone + 1)
        for number, was in enumerate(self._was):
            if was == _SAME:
                yield ()
            elif was == _CREATED:
                item = orjson.loads(new.raw(number))
                yield [self._fit(f"{route.entity}_created", "insert", item, item, None)]
            else:
                before, after = orjson.loads(old.raw(was)), orjson.loads(new.raw(number))
                yield [
                    self._fit(kind, "update", after, data, before)
                    for kind, data in _changes(before, after, route)
                ]

    def _fit(
        self,
        kind: str,
        action: str,
        item: dict[str, Any],
        data: dict[str, Any],
        previous: dict[str, Any] | None,
    ) -> Told:
        """An event of `item` within `max_event_bytes`: whole, or without `previous`, or without `data` too.

        What was left out is named in `metadata.omitted`, so that a reader knows to fetch the item itself.
        """
        route, key = self._route, str(item[self._route.keys[0]])
        event = Event(
            *(kind, route.entity, key, action, self._timestamp),
            source=route.source,
            data=data,
            previous=previous,
        )
        size = _size(event)
        if size is not None and size <= route.max_event_bytes:
            return Told(event, size, is_cut=False)
        if previous is not None:
            shorter = replace(event, previous=None, metadata={"omitted": ["previous"]})
            size = _size(shorter)
            if size is not None and size <= route.max_event_bytes:
                return Told(shorter, size, is_cut=True)
        omitted = ["data"] if previous is None else ["data", "previous"]
        bare = replace(event, data=None, previous=None, metadata={"omitted": omitted})
        return Told(bare, _size(bare) or 0, is_cut=True)


def too_many_missing(comparison: Comparison, route: LegacyRoute) -> bool:
    """Whether more than `max_delete_ratio` of at least 10 items are gone at once."""
    count = comparison.count_before
    return count >= 10 and comparison.missing_count > route.max_delete_ratio * count


def same(one: Any, other: Any) -> bool:
    """Whether two decoded JSON values are equal as JSON: 1 and 1.0 are, True and 1 are not, at any depth."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict):
        if not isinstance(other, dict) or one.keys() != other.keys():
            return False
        return all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        if not isinstance(other, list) or len(one) != len(other):
            return False
        return all(same(value, other[index]) for index, value in enumerate(one))
    return bool(one == other)


def derived_members(route: LegacyRoute) -> frozenset[str]:
    """The members that the events of `route` add to an item: the old and the new value of what changed."""
    suffixes = [member_suffix(member, route.entity) for member in route.changes]
    return frozenset(prefix + suffix for suffix in suffixes for prefix in ("previous", "new"))


def _changes(
    before: dict[str, Any], after: dict[str, Any], route: LegacyRoute
) -> list[tuple[str, dict[str, Any]]]:
    changes = []
    changed = {
        member
        for member in before.keys() | after.keys()
        if not same(before.get(member, _ABSENT), after.get(member, _ABSENT))
    }
    for member, kind in route.changes.items():
        if member in changed:
            suffix = member_suffix(member, route.entity)
            # An absent member gives none of the two: absent is not null. Where the item has a member of such
            # a name itself, the change wins; the item's own value is still to be had from the upstream.
            data = dict(after)
            for prefix, item in (("previous", before), ("new", after)):
                data.pop(prefix + suffix, None)
                if member in item:
                    data[prefix + suffix] = item[member]
            changes.append((kind, data))
    if not changed <= route.changes.keys():
        changes.append((f"{route.entity}_updated", after))
    return changes


def _size(event: Event) -> int | None:
    try:
        return json_size(event)
    except TypeError:
        # The event nests its item one level deeper, which can pass what orjson writes.
        return None
