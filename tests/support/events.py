"""Events as tests need them."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from gateway.core.events import Event, Position, Record

TIMESTAMP = "2026-11-20T10:30:00.123Z"


def an_event(entity: str | None = "order:1", event_type: str = "changed", **members: Any) -> Event:
    """An event of `entity`, written "type:id"; None makes it global."""
    entity_type, _, entity_id = entity.partition(":") if entity is not None else (None, "", None)
    members.setdefault("action", "signal" if entity is None else "update")
    members.setdefault("timestamp", TIMESTAMP)
    return Event(event_type=event_type, entity_type=entity_type, entity_id=entity_id, **members)


def unset_members(events: Iterable[Event]) -> set[str]:
    """The members of an event that none of `events` has: what is written or read of them tells nothing."""
    given = [field.name for field in fields(Event) if field.init]
    return {name for name in given if not any(getattr(event, name) for event in events)}


def a_record(place: int | Position, event: Event | None = None, *, recorded_ms: float = 0.0) -> Record:
    """The record of an event at `place`; a number N stands for the position N-0."""
    position = place if isinstance(place, Position) else Position(place, 0)
    return Record(position, event if event is not None else an_event(), recorded_ms)


def large_events(count: int, event_bytes: int = 6000) -> list[Event]:
    """Events of so many bytes of JSON each, or a few more."""
    return [an_event(f"order:{number}", data={"text": "x" * event_bytes}) for number in range(count)]
