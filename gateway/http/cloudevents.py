"""CloudEvents 1.0 in JSON (the CloudEvents specification and its JSON event format) as events of ours.

`type` becomes the event type, `subject` the entity, `time` the timestamp. All other attributes are kept
under `metadata.cloudevent`, `source` and `id` among them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.core.errors import InvalidEvents
from gateway.core.events import MAX_ERRORS, Event, parsing_events

_SEPARATOR = re.compile(r"[:/]")
_MAPPED = frozenset({"specversion", "type", "subject", "time", "data"})
_POINTERS = {
    "eventType": "type",
    "entityType": "subject",
    "entityId": "subject",
    "timestamp": "time",
    "metadata": "",
}


def parsing_cloudevents(
    raw: Sequence[Any], events: list[Event], *, now_ms: int, max_event_bytes: int, batch: bool
) -> Iterator[None]:
    """Like `events.parsing_events`, for CloudEvents; pointers of errors name CloudEvents attributes."""
    errors: list[dict[str, str]] = []
    inputs = []
    for index, given in enumerate(raw):
        base = f"/{index}" if batch else ""
        problems = _problems(given)
        errors += [{"pointer": base + pointer, "detail": detail} for pointer, detail in problems]
        if not problems:
            inputs.append(_event_members(given))
        yield
    if errors:
        raise InvalidEvents(
            "One or more events break the rules; none was published.", errors=errors[:MAX_ERRORS]
        )
    try:
        yield from parsing_events(inputs, events, now_ms=now_ms, max_event_bytes=max_event_bytes, batch=batch)
    except InvalidEvents as error:
        raise InvalidEvents(
            error.detail,
            errors=[{**place, "pointer": _translate(place["pointer"])} for place in error.errors],
        ) from None


def _problems(given: Any) -> list[tuple[str, str]]:
    if not isinstance(given, dict):
        return [("", "a CloudEvent is an object")]
    problems = []
    if given.get("specversion") != "1.0":
        problems.append(("/specversion", "must be 1.0"))
    for name in ("id", "source", "type"):
        if not isinstance(given.get(name), str) or not given[name]:
            problems.append((f"/{name}", "must be text, and not empty"))
    subject = given.get("subject")
    if subject is not None and not (isinstance(subject, str) and _SEPARATOR.search(subject)):
        problems.append(("/subject", "must be entityType:entityId or entityType/entityId"))
    if not isinstance(given.get("data", {}), dict | None):
        problems.append(("/data", "must be an object"))
    if "data_base64" in given:
        problems.append(("/data_base64", "binary data can't be published: send data as an object"))
    return problems


def _event_members(given: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = {
        "eventType": given["type"],
        "metadata": {"cloudevent": {name: value for name, value in given.items() if name not in _MAPPED}},
    }
    if given.get("subject") is not None:
        event["entityType"], event["entityId"] = _SEPARATOR.split(given["subject"], maxsplit=1)
    if given.get("time") is not None:
        event["timestamp"] = given["time"]
    if given.get("data") is not None:
        event["data"] = given["data"]
    return event


def _translate(pointer: str) -> str:
    return "/".join(_POINTERS.get(step, step) for step in pointer.split("/")).rstrip("/")
