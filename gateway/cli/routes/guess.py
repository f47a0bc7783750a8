"""A route that fits what an upstream answered, with what is doubtful about it. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gateway.cli.routes.changes import between
from gateway.cli.routes.fields import said_of_callers
from gateway.cli.routes.keys import KeyGuess, key_value, keys_of
from gateway.cli.routes.lists import ENVELOPES, Found, found_in, pointer_of, steps_of
from gateway.cli.routes.naming import Names, names_of, opaque_steps
from gateway.cli.routes.next_page import at, doubts_of_pages, has_next_link, pointer_to_next
from gateway.cli.routes.request import Asked, request_settings
from gateway.cli.routes.texts import WORDS, Text, has_errors, text_of

_PAGE_WORDS = frozenset(
    {
        *("total", "count", "page", "pages", "limit", "offset", "size", "per_page", "perpage", "pagesize"),
        *("page_size", "total_count", "totalcount", "has_more", "hasmore", "next", "previous", "prev"),
        *("object", "success", "ok", "result", "status", "code", "message", "kind", "apiversion", "url"),
        "took",
    }
)
"""Members that stand beside a list, and say nothing of one thing of its own."""
_CLOCK = re.compile(r"(time|now|date|age|requestid|elapsed|took|duration|stamp)(s|ms|sec|seconds|millis)?\Z")
_STATES = ("status", "state", "phase", "stage")
_REMOVED = ("deleted", "is_deleted", "isdeleted", "archived", "is_archived", "deleted_at", "deletedat")
_MANY = 2000
_SLOW_SECONDS = 1.0


class Answer(NamedTuple):
    """What an upstream said: `headers` are found in any case, `seconds` is how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0


@dataclass
class Guess:
    """`settings` of a route in the order in which they are read best, and `notes` on some of them.

    `maybe` are further ones that may be wanted, each with a note; `doubts` are sentences.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    maybe: list[tuple[str, Any, str]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


class _Reading(NamedTuple):
    """How the answer's value is taken apart: items with their key, or one entity."""

    found: Found | None
    key: KeyGuess | None
    entity: dict[str, Any] | None = None
    path: tuple[str, ...] = ()


def guess(asked: Asked, answers: Sequence[Answer]) -> Guess:
    """The route for what was asked, of one answer to it or of two that followed one another."""
    first = answers[0]
    content_type = first.headers.get("Content-Type", "")
    texts = [text_of(answer.body, content_type) for answer in answers]
    reading = _read(texts[0])
    names = names_of(
        urlsplit(asked.url).path,
        reading.found.name if reading.found is not None else "".join(reading.path[-1:]),
        is_own_path=asked.method != "GET",
    )
    if reading.found is not None and reading.found.items:
        reading = reading._replace(key=next(iter(keys_of(reading.found.items, names.entity)), None))
    made = Guess()
    made.settings |= {"component": names.component, "path": names.path}
    _say_request(made, asked, names)
    made.settings |= {"entity": names.entity, "shared": True}
    _say_path(made, asked, names)
    if first.status != 200:
        made.settings |= {"key": "id", "empty": ["null", first.status]}
        made.doubts.append("There was nothing to list: set key, and ask again once there is something.")
    elif texts[0].kind == "json":
        _say_reading(made, reading, texts[0].value, names)
        _say_pages(made, reading, texts[0].value, first.headers)
        if len(texts) > 1 and texts[1].kind == "json":
            _say_changes(made, reading, texts[0].value, texts[1].value)
    else:
        _say_no_json(made, texts[0], names)
    _say_headers(made, first, asked)
    return made


def _read(text: Text) -> _Reading:
    if text.kind != "json":
        return _Reading(None, None)
    found = found_in(text.value)
    path, value = _entity_in(text.value)
    if value is not None and (not found or _is_entity(value, found[0], path)):
        return _Reading(None, None, value, path)
    return _Reading(found[0] if found else None, None)


def _entity_in(value: Any) -> tuple[tuple[str, ...], dict[str, Any] | None]:
    """The object that may be the one entity of an answer, without what is only around it."""
    path: tuple[str, ...] = ()
    if not isinstance(value, dict):
        return path, None
    while len(path) < 3:
        within = [name for name, member in value.items() if isinstance(member, dict)]
        is_around = len(within) == 1 and (
            len(value) == 1 or (within[0].lower() in ENVELOPES and not _own_members(value))
        )
        if not is_around:
            return path, value
        path, value = (*path, within[0]), value[within[0]]
    return path, value


def _own_members(value: Mapping[str, Any]) -> list[str]:
    """The plain members that say something of the thing itself, and not of a list's pages."""
    return [
        name
        for name, member in value.items()
        if not isinstance(member, list | dict) and name.lower() not in _PAGE_WORDS
    ]


def _is_entity(value: Mapping[str, Any], found: Found, path: tuple[str, ...]) -> bool:
    """Whether an object is rather one entity, with a list in it, than a list with words around it."""
    if found.shape == "map" and len(found.path) <= len(path):
        return False
    if found.path and found.path[-1].lower() in ENVELOPES:
        return False
    own = _own_members(value)
    has_id = any(key_value(value, (name,)) is not None for name in ("id", "_id", "uid", "uuid"))
    return len(own) >= 3 or (has_id and len(own) >= 2) or (not found.items and bool(own))


def _say_request(made: Guess, asked: Asked, names: Names) -> None:
    said = request_settings(asked, names.component)
    made.settings |= said.settings
    made.doubts += said.doubts


def _say_path(made: Guess, asked: Asked, names: Names) -> None:
    own = urlsplit(asked.url).path
    if names.path != own:
        made.notes["path"] = "callers ask the gateway for this: choose it"
    steps = opaque_steps(names.path)
    if steps:
        pattern = names.path.replace(f"/{steps[0]}", "/{number}", 1)
        made.maybe.append(
            ("path", pattern, f"one list for each {steps[0]}; upstream then has {{number}} as well")
        )


def _say_reading(made: Guess, reading: _Reading, value: Any, names: Names) -> None:
    if reading.entity is not None:
        _say_entity(made, reading, names)
        return
    found = reading.found
    if found is None:
        _say_no_items(made, value, names)
        return
    if has_errors(value):
        made.doubts.append("The answer tells errors, as GraphQL does: is the query right?")
    if found.shape == "map":
        made.settings["shape"] = "map"
    made.settings["items"] = found.pointer
    count = f"{found.total} item{'' if found.total == 1 else 's'}"
    made.notes["items"] = count if found.pointer else f"the answer itself: {count}"
    others = [other for other in found_in(value)[1:4] if other.items]
    if others:
        places = ", ".join(f"{other.pointer or 'the answer itself'} ({other.total})" for other in others)
        made.doubts.append(f"There are items at {places} as well: check items.")
    if found.shape == "list":
        _say_key(made, reading, found)
    if found.items:
        _say_members(made, found.items[0])


def _say_key(made: Guess, reading: _Reading, found: Found) -> None:
    key = reading.key
    if key is None:
        made.settings["key"] = "id"
        made.doubts.append(
            "There are no items to see a key in: set key to the member that identifies an item."
            if not found.items
            else "No member of the items can be a key (text or an integer in each): `map` can make one."
        )
        return
    made.settings["key"] = key.parts[0] if len(key.parts) == 1 else list(key.parts)
    if not key.is_unique:
        made.doubts.append(
            f"No key is unique: two items have the same {key.parts[0]}, and can't be compared."
        )
    elif not key.is_likely:
        made.doubts.append(f"The key is a guess: {' with '.join(key.parts)} is unique in this answer.")
    elif len(found.items) == 1:
        made.doubts.append("The key is a guess from one item.")
    if len(found.items) < min(found.total, _MANY):
        made.doubts.append(f"{found.total - len(found.items)} items are no objects, and can't be compared.")


def _say_entity(made: Guess, reading: _Reading, names: Names) -> None:
    assert reading.entity is not None
    made.settings["shape"] = "single"
    made.settings["items"] = pointer_of(reading.path)
    keys = [key for key in keys_of([reading.entity]) if key.rank < 1]
    if keys:
        made.settings["key"] = keys[0].parts[0]
    else:
        made.settings["id"] = names.entity
    lists = [found for found in found_in(reading.entity) if found.items]
    if lists:
        pointer = pointer_of((*reading.path, *lists[0].path))
        made.doubts.append(
            f"Taken for one entity; {pointer} has a list of {lists[0].total}, if that is what changes."
        )
    _say_members(made, reading.entity)


def _say_no_items(made: Guess, value: Any, names: Names) -> None:
    made.settings |= {"shape": "single", "id": names.entity, "events": "none"}
    what = {type(None): "null", list: "a list without objects"}.get(
        type(value), "neither a list nor an object"
    )
    made.doubts.append(
        f"The answer is {what}: no events can be made of it as it is. Ask again once it has items, or make "
        "objects of it with `map` or `decode`; until then it is only served."
    )


def _say_no_json(made: Guess, text: Text, names: Names) -> None:
    made.settings |= {"key": "id", "events": "none"}
    made.maybe.append(
        ("decode", f"{names.component.replace('-', '_').replace('.', '_')}:decode", "see above")
    )
    if text.kind == "html":
        made.doubts.append(
            "The answer is HTML, a page for people: is the path right, and does the upstream want "
            '--header "Accept: application/json"?'
        )
    elif text.kind == "empty":
        made.doubts.append("The answer is empty: ask again once there is something to list.")
    else:
        made.doubts.append(
            f"The answer is {WORDS[text.kind]}: no events can be made of it as it is. Write a function "
            "`decode(body: bytes, content_type: str)` that gives a list of objects, in a module beside the "
            'configuration, name it as decode, and remove events = "none".'
        )


def _say_members(made: Guess, item: Mapping[str, Any]) -> None:
    changes = {
        member: f"{name.lower()}_change"
        for name in item
        if (member := _state_in(name, item[name])) is not None
    }
    if changes:
        made.maybe.append(("changes", changes, "an event of its own for a change of these"))
    for name in item:
        if name.lower() in _REMOVED:
            made.maybe.append(("deleted", pointer_of((name,)), "if an item with it is gone for callers"))
            return


def _state_in(name: str, value: Any) -> str | None:
    """The member that says the state of an item, by its name or a pointer; None for another member."""
    if name.lower() not in _STATES:
        return None
    if isinstance(value, str):
        return name
    inner = value if isinstance(value, dict) else {}
    within = (other for other in inner if other.lower() in _STATES and isinstance(inner[other], str))
    return next((pointer_of((name, other)) for other in within), None)


def _say_pages(made: Guess, reading: _Reading, value: Any, headers: Mapping[str, str]) -> None:
    if reading.found is None:
        return
    pointer = pointer_to_next(value)
    if pointer is not None:
        made.settings["pages"] = {"next": pointer}
    elif has_next_link(headers):
        made.settings["pages"] = {"link": True}
    else:
        made.doubts += [
            f"{doubt[:1].upper()}{doubt[1:]}." for doubt in doubts_of_pages(value, reading.found.total)
        ]


def _say_changes(made: Guess, reading: _Reading, first: Any, second: Any) -> None:
    """Compares two answers: what changes in so short a time is hardly worth an event."""
    before, after = _by_key(first, reading), _by_key(second, reading)
    if not before or not after:
        return
    changes = between(before, after)
    if reading.found is not None and not changes.common:
        made.doubts.append("Of two answers no item is in both: the key may change from answer to answer.")
        return
    restless = [pointer for pointer in changes.restless if pointer]
    if reading.entity is not None:
        restless = [pointer for pointer in changes.members if _is_clock(pointer)]
    keys = {pointer_of(steps_of(part)) for part in _as_list(made.settings.get("key"))}
    ignore = [pointer for pointer in restless if pointer not in keys]
    if ignore:
        made.settings["ignore"] = ignore
        made.notes["ignore"] = "changed between two answers that followed one another"
    rest = [pointer for pointer in changes.members if pointer and pointer not in restless]
    if rest:
        made.doubts.append(
            f"Between two answers changed as well: {', '.join(rest[:8])}. Add to ignore what means nothing."
        )


def _as_list(key: str | list[str] | None) -> list[str]:
    return [key] if isinstance(key, str) else key or []


def _is_clock(pointer: str) -> bool:
    return _CLOCK.search(pointer.rpartition("/")[2].lower().replace("_", "")) is not None


def _by_key(value: Any, reading: _Reading) -> dict[str, Any]:
    """The items of an answer, taken apart as `reading` says, by their key; none where it is another."""
    here = at(value, reading.path if reading.found is None else reading.found.path)
    if reading.entity is not None:
        return {"": here} if isinstance(here, dict) else {}
    if reading.found is not None and reading.found.shape == "map":
        return here if isinstance(here, dict) else {}
    if reading.key is None or not isinstance(here, list):
        return {}
    paths = [steps_of(part) for part in reading.key.parts]
    keyed = {}
    for item in here[:_MANY]:
        values = [key_value(item, path) for path in paths]
        if None not in values:
            keyed[":".join(map(str, values))] = item
    return keyed


def _say_headers(made: Guess, answer: Answer, asked: Asked) -> None:
    headers = answer.headers
    made.doubts += [f"{sentence}." for sentence in said_of_callers(headers, dict(asked.headers))]
    if any(name.lower() in ("authorization", "cookie") for name, _ in asked.headers):
        made.doubts.append(
            "Everybody who may call the path gets what these credentials may see: shared = true is right "
            "only where all callers see the same."
        )
    if answer.seconds > _SLOW_SECONDS:
        made.settings["interval_seconds"] = ceil(2 * answer.seconds)
        made.notes["interval_seconds"] = f"the answer took {answer.seconds:.1f} s"
    address = urlsplit(asked.url)
    if f"{address.scheme}://{address.netloc}/".encode() in answer.body:
        made.maybe.append(
            (
                "public_url",
                "https://api.example",
                "links in the answer name the upstream; callers' address is",
            )
        )
