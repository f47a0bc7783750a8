"""An event as a log keeps it: the JSON of docs/protocol.md, section 1, without its id."""

import re
from dataclasses import fields

import orjson

from gateway.core.events import Event, json_rest

_MEMBERS = {
    field.name: re.sub("_(.)", lambda found: found[1].upper(), field.name)
    for field in fields(Event)
    if field.init
}
"""The name in JSON of each of an event's members, by its attribute."""


def to_payload(event: Event) -> bytes:
    """The event as JSON; members that it does not have are left out.

    Raises TypeError where it can't be written as JSON; the border has checked that it can.
    """
    return b"{" + json_rest(event)


def from_payload(payload: bytes | str) -> Event:
    """The event that `to_payload` wrote.

    Raises orjson.JSONDecodeError or AttributeError where something else wrote it.
    """
    members = orjson.loads(payload)
    return Event(**{attribute: members.get(name) for attribute, name in _MEMBERS.items()})
