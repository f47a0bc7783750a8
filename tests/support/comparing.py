"""Answers read, and two compared, in one go."""

from typing import NamedTuple

from adapters.upstream.reading.comparison import Comparison
from adapters.upstream.reading.items import Items
from gateway.core.events import Event
from gateway.ports.legacy_route import LegacyRoute
from tests.support.steps import finish


class Compared(NamedTuple):
    """The events in their order, the keys of the items that are gone, and of those whose events were cut."""

    events: tuple[Event, ...]
    missing: frozenset[str]
    oversized: tuple[str, ...]


def extract(body: bytes, route: LegacyRoute) -> Items:
    """The items of an answer."""
    items = Items(body, route)
    finish(items.reading())
    return items


def matched(old: Items, new: Items, route: LegacyRoute, now_ms: int) -> Comparison:
    """A comparison that knows what leads from `old` to `new`."""
    comparison = Comparison(old, new, route, now_ms)
    finish(comparison.matching())
    return comparison


def compare(old: Items, new: Items, route: LegacyRoute, now_ms: int) -> Compared:
    """All that leads from `old` to `new`."""
    comparison = matched(old, new, route, now_ms)
    steps = list(comparison.told())
    return Compared(
        events=tuple(one.event for told in steps for one in told),
        missing=frozenset(old.key(number) for number, kept in enumerate(comparison.kept) if not kept),
        oversized=tuple(str(told[0].event.entity_id) for told in steps if any(one.is_cut for one in told)),
    )
