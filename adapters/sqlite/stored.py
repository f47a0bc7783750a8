"""An event as it stands in the file: the JSON of docs/protocol.md, section 1, without its id."""

import orjson

from gateway.events import Event

_MEMBERS = {
    "event_type": "eventType",
    "entity_type": "entityType",
    "entity_id": "entityId",
    "action": "action",
    "timestamp": "timestamp",
    "data": "data",
    "previous": "previous",
    "source": "source",
    "actor": "actor",
    "metadata": "metadata",
}


def to_body(event: Event) -> str:
    """The event as JSON; members that it does not have are left out.

    Raises TypeError where it can't be written as JSON; the border has checked that it can.
    """
    given = ((name, getattr(event, attribute)) for attribute, name in _MEMBERS.items())
    return orjson.dumps({name: value for name, value in given if value is not None}).decode()


def from_body(body: str) -> Event:
    """The event that `to_body` wrote."""
    members = orjson.loads(body)
    return Event(**{attribute: members.get(name) for attribute, name in _MEMBERS.items()})
