"""Two answers of an upstream become the events that lead from the one to the other. No I/O.

An answer is read into its items: by key, each as compact JSON. Bytes cost a tenth of the memory of decoded
objects, most items are the same bytes from poll to poll, and only those that are not need decoding.

Numbers: JSON integers beyond 64 bits become floats, as orjson reads them. Two of them that differ only
beyond a float's precision are the same value here; an item's key can't be one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from adapters.upstream.route import LegacyRoute
from gateway.changes import member_suffix
from gateway.clock import rfc3339
from gateway.errors import UpstreamError
from gateway.events import Event, compact_json, event_json, has_control_characters

Items = Mapping[str, bytes]
"""The items of an answer in its order: an item's key as text, and the item as compact JSON."""

_INDEX = re.compile(r"(0|[1-9][0-9]*)\Z", re.ASCII)
_MAX_ID_CHARACTERS = 256
_ABSENT = object()


class BadAnswer(UpstreamError):
    """The upstream's answer can't be used; `kind` names the reason for counters and log lines."""

    title = "The upstream's answer can't be used"

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Comparison:
    """What leads from one answer to the next.

    `events` in the order in which they are published; `missing` the keys of the items that are gone;
    `oversized` the keys of those whose events had to leave something out.
    """

    events: tuple[Event, ...]
    missing: frozenset[str]
    oversized: tuple[str, ...]


def extract(body: bytes, route: LegacyRoute) -> dict[str, bytes]:
    """The items of an answer.

    Raises BadAnswer: `not_json`, `no_list` (nothing, or no list, at the pointer), `not_an_object`, `no_key`,
    `bad_key` (neither text nor integer, or not an entity id: 1 to 256 characters, no control characters),
    `duplicate_key` (also 1 beside "1": both are the entity 1), `too_deep` (beyond 254 levels).
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadAnswer("not_json", "The upstream's answer is not JSON.") from None
    items: dict[str, bytes] = {}
    for index, item in enumerate(_list_at(document, route.items)):
        if not isinstance(item, dict):
            raise BadAnswer("not_an_object", f"Item {index} of the upstream's answer is not an object.")
        key = _key_of(item, index, route.key)
        if key in items:
            raise BadAnswer("duplicate_key", f"Item {index} of the upstream's answer has the key of another.")
        try:
            items[key] = compact_json(item)
        except TypeError:
            # orjson stops at 254 levels when it writes, although it reads deeper ones.
            detail = f"Item {index} of the upstream's answer is nested too deeply."
            raise BadAnswer("too_deep", detail) from None
    return items


def compare(old: Items, new: Items, route: LegacyRoute, now_ms: int) -> Comparison:
    """The events that lead from `old` to `new`; `now_ms` (wall time) is their timestamp.

    The order is fixed: first the deletions in the order of `old`, so that what took a deleted item's place
    comes after it; then created and changed items in the order of `new`; for one item first the changes that
    have a rule, in the order of the rules, then the one `<entity>_updated` for all others.

    An event over `route.max_event_bytes` is sent all the same, with less in it (see `_fitted`).
    """
    missing = [key for key in old if key not in new]
    events: list[Event] = []
    oversized: dict[str, None] = {}
    for event in _events(old, new, missing, route, rfc3339(now_ms)):
        fitted = _fitted(event, route.max_event_bytes)
        if fitted is not event and event.entity_id is not None:
            oversized[event.entity_id] = None
        events.append(fitted)
    return Comparison(tuple(events), frozenset(missing), tuple(oversized))


def too_many_missing(comparison: Comparison, count_before: int, route: LegacyRoute) -> bool:
    """Whether more than `max_delete_ratio` of at least 10 items are gone at once."""
    return count_before >= 10 and len(comparison.missing) > route.max_delete_ratio * count_before


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


def _list_at(document: Any, pointer: str) -> list[Any]:
    found = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and _INDEX.match(name) and int(name) < len(found):
            found = found[int(name)]
        else:
            found = None
    if not isinstance(found, list):
        raise BadAnswer("no_list", "The upstream's answer has no list where its items should be.")
    return found


def _key_of(item: Mapping[str, Any], index: int, member: str) -> str:
    value = item.get(member)
    if value is None:
        raise BadAnswer("no_key", f"Item {index} of the upstream's answer has no {member}.")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadAnswer("bad_key", f"Item {index} of the upstream's answer: {member} is no text or integer.")
    key = str(value)
    if not 1 <= len(key) <= _MAX_ID_CHARACTERS or has_control_characters(key):
        raise BadAnswer("bad_key", f"Item {index} of the upstream's answer: {member} can't be an entity id.")
    return key


def _events(
    old: Items, new: Items, missing: list[str], route: LegacyRoute, timestamp: str
) -> Iterator[Event]:
    def event(kind: str, action: str, key: str, **members: Any) -> Event:
        return Event(kind, route.entity, key, action, timestamp, source=route.source, **members)

    for key in missing:
        item = orjson.loads(old[key])
        yield event(f"{route.entity}_deleted", "delete", key, data=item, previous=item)
    for key, raw in new.items():
        before_raw = old.get(key)
        if before_raw is None:
            yield event(f"{route.entity}_created", "insert", key, data=orjson.loads(raw))
        elif before_raw != raw:
            before, after = orjson.loads(before_raw), orjson.loads(raw)
            for kind, data in _changes(before, after, route):
                yield event(kind, "update", key, data=data, previous=before)


def _changes(
    before: dict[str, Any], after: dict[str, Any], route: LegacyRoute
) -> Iterator[tuple[str, dict[str, Any]]]:
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
            yield kind, data
    if not changed <= route.changes.keys():
        yield f"{route.entity}_updated", after


def _fitted(event: Event, max_bytes: int) -> Event:
    """`event` within `max_bytes` of JSON: as it is, else without `previous`, else without `data` too.

    What was left out is named in `metadata.omitted`, so that a reader knows to fetch the item itself.
    """
    if _fits(event, max_bytes):
        return event
    if event.data is not None and event.previous is not None:
        shorter = replace(event, previous=None, metadata={"omitted": ["previous"]})
        if _fits(shorter, max_bytes):
            return shorter
    omitted = [name for name in ("data", "previous") if getattr(event, name) is not None]
    return replace(event, data=None, previous=None, metadata={"omitted": omitted})


def _fits(event: Event, max_bytes: int) -> bool:
    try:
        return len(event_json(event, "", {})) <= max_bytes
    except TypeError:
        # The event nests its item one level deeper, which can pass what orjson writes.
        return False
