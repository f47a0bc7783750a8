"""Events as rows of `sync_events`, and back."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import orjson

from gateway.core.events import Event, Position, Record, json_size

_MAX_ID = 2**63 - 1
_SHALLOW = 200
"""Fewer opening brackets can't be nested deeper than orjson writes, which is 254 levels."""

Row = Sequence[Any]
"""What a statement that reads gives: the history, whether rows are another server's, what else it says of the
log; then an event or nulls."""

_EVENT_COLUMNS = 13


Columns = Mapping[str, list[str | None]]
"""The parameters of log_append.sql: by column, one value for each event."""


def columns(events: Sequence[Event]) -> Columns:
    """These events as parameters of log_append.sql."""
    return {
        "event_type": [event.event_type for event in events],
        "entity_type": [event.entity_type for event in events],
        "entity_id": [event.entity_id for event in events],
        "action": [event.action for event in events],
        "data": [_json(event.data) for event in events],
        "previous": [_json(event.previous) for event in events],
        "timestamp": [event.timestamp for event in events],
        "source": [event.source for event in events],
        "actor": [_json(event.actor) for event in events],
        "metadata": [_json(event.metadata) for event in events],
    }


def joined(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    return {name: list(chain.from_iterable(part[name] for part in parts)) for name in parts[0]}


def size_of(given: Columns) -> int:
    """About how many characters the rows have."""
    return sum(len(text) for values in given.values() for text in values if text is not None)


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def key(position: Position) -> Mapping[str, Any]:
    """The position as `major` and `minor` of a statement; no row's id is over a bigint's."""
    return {"major": str(position.major), "minor": min(position.minor, _MAX_ID)}


def position_of(major: str, minor: int) -> Position:
    return Position(int(major), minor)


def position_in(row: Row) -> Position | None:
    """The event's position; None where the row has no event."""
    major, minor = row[-_EVENT_COLUMNS : 2 - _EVENT_COLUMNS]
    return None if major is None else position_of(major, minor)


def record_in(row: Row) -> Record:
    """The event of a row that has one.

    Raises ValueError where it can't be delivered: Postgres' json takes what no JSON text can carry (half a
    surrogate pair), what no double can (1e999), and any depth.
    """
    kind, entity_type, entity_id, action, data, previous, moment, source, actor, metadata, recorded_ms = row[
        2 - _EVENT_COLUMNS :
    ]
    event = Event(
        event_type=kind,
        entity_type=entity_type,
        entity_id=entity_id,
        action=action,
        timestamp=moment,
        data=_object(data),
        previous=_object(previous),
        source=source,
        actor=_object(actor),
        metadata=_object(metadata),
    )
    if any(_may_be_deep(text) for text in (data, previous, actor, metadata)):
        try:
            json_size(event)
        except TypeError as error:
            raise ValueError(f"the event can't be written as JSON: {error}") from error
    position = position_in(row)
    assert position is not None, "the row has an event"
    return Record(position, event, recorded_ms)


def is_readable(row: Row) -> bool:
    """Whether the event of a row that has one can be delivered."""
    try:
        record_in(row)
    except ValueError:
        return False
    return True


def _object(text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return None
    value: Mapping[str, Any] = orjson.loads(text)
    return value


def _may_be_deep(text: str | None) -> bool:
    return text is not None and text.count("[") + text.count("{") > _SHALLOW
