"""The event and the cursor: frozen, validated at the border, JSON in and out.

The contract is docs/protocol.md, sections 1 and 2.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Self

import orjson
from pydantic import (
    AfterValidator,
    ConfigDict,
    InstanceOf,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    with_config,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from gateway.core.errors import BodyTooLarge, InvalidEvents, PublisherError
from gateway.core.times import in_utc, rfc3339

MAX_CURSOR_CHARACTERS = 128
EARLIEST = "earliest"
CONTROL_EVENT_TYPES = frozenset(
    {
        "connected",
        "reset",
        "state",
        "heartbeat",
        "refresh",
        "fetch-mode",
        "token-expiring",
        "presence",
        "broadcast",
        "bye",
    }
)
REVOCATION = "tidegate.revocation"
"""The type of a revocation in the log (gateway/core/revocations.py). It is delivered to nobody."""
RESERVED_EVENT_TYPES = CONTROL_EVENT_TYPES | {
    REVOCATION,
    # An EventSource dispatches events of its own under these two names (HTML, section 9.2.2).
    "error",
    "open",
}
NAME_PATTERN = r"^[A-Za-z0-9_.\-]{1,64}\Z"
"""What an event type and an entity type look like."""

_ENTITY_ID = b'"entityId":'
_U64_MAX = 2**64 - 1
_CURSOR = re.compile(
    r"([a-z0-9]{1,64})\.(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})(?:\.([A-Za-z0-9_-]{11}))?\Z"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")

MAX_ERRORS = 20
"""How many places one refusal names at most; a batch of 1,000 broken events needs no more to be mended."""

Action = Literal["insert", "update", "delete", "signal"]


class Position(NamedTuple):
    """A place in one history: two unsigned 64-bit integers, ordered as integers, the major first."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}-{self.minor}"


ORIGIN = Position(0, 0)
"""Before the first event of any history."""


class Cursor(NamedTuple):
    """A position and the epoch, the history, in which it means something.

    `scope` is that of whoever it was given to (gateway/core/grants.py); empty without authentication.
    """

    epoch: str
    position: Position
    scope: str = ""

    def __str__(self) -> str:
        return cursor_text(*self)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor that `text` writes, or None where this gateway never gives such a text."""
        found = _CURSOR.match(text)
        if found is None:
            return None
        position = Position(int(found[2]), int(found[3]))
        if max(position) > _U64_MAX:
            return None
        return cls(found[1], position, found[4] or "")


def cursor_text(epoch: str, position: Position, scope: str = "") -> str:
    """What `str` gives of that Cursor, of which none is made for it."""
    text = f"{epoch}.{position[0]}-{position[1]}"
    return scoped(text, scope) if scope else text


def scoped(cursor: str, scope: str) -> str:
    """A cursor of no scope, as a reader of `scope` gets it."""
    return f"{cursor}.{scope}" if scope else cursor


def has_control_characters(text: str) -> bool:
    """Whether `text` holds a character of Unicode's category Cc."""
    return _CONTROL.search(text) is not None


def is_text(text: str) -> bool:
    """Whether `text` can be kept and sent anywhere: no control characters, and no lone surrogate.

    A surrogate stands for a byte that is no UTF-8 in what aiohttp reads of a request.
    """
    return not has_control_characters(text) and is_encodable(text)


def is_encodable(text: str) -> bool:
    """Whether `text` holds no lone surrogate, which is no character of its own and no UTF-8."""
    return _SURROGATE.search(text) is None


@dataclass(slots=True)
class Event:
    """One change or message, before the log gives it a position; nobody changes it.

    `entity_type` and `entity_id` are both given or both None. `timestamp` is RFC 3339 in UTC with
    milliseconds. `data`, `previous`, `actor` and `metadata` are JSON objects.
    """

    event_type: str
    entity_type: str | None
    entity_id: str | None
    action: str
    timestamp: str
    data: Mapping[str, Any] | None = None
    previous: Mapping[str, Any] | None = None
    source: str | None = None
    actor: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    rest: bytes | None = field(default=None, init=False, compare=False, repr=False)
    """Its JSON without an id, after the opening brace: from when it was first made until the history's frame
    has it, for kept beside that it would double what an event takes."""


@dataclass(slots=True)
class Record:
    """An event at its position in the log; nobody changes it.

    `recorded_ms` is when the log got it, by the log's clock, in milliseconds since 1970-01-01T00:00Z: right
    before its commit, or as near to that as the log knows. Records are equal whatever it is: a relay's target
    has the same ones from a later time.
    """

    position: Position
    event: Event
    recorded_ms: float = field(compare=False)


def event_json(event: Event, cursor: str, id_aliases: Mapping[str, str], *, leave: bool = False) -> bytes:
    """The event's JSON as every transport carries it (docs/protocol.md, section 1).

    `id_aliases` gives, for an entity type, the further member that repeats the entity's id. With `leave`
    the event says that the entity left the reader's view: without `data` and `previous` (section 3).
    Raises TypeError where the event can't be written as JSON; the border has checked that it can.
    """
    rest = json_rest(event, leave=True) if leave else event.rest or json_rest(event)
    alias = None if event.entity_type is None else id_aliases.get(event.entity_type)
    if alias is not None:
        # Behind the entity's id. The texts before that can't hold its name in bare quotes.
        entity_id = orjson.dumps(event.entity_id)
        end = rest.index(_ENTITY_ID) + len(_ENTITY_ID) + len(entity_id)
        rest = b"%b,%b:%b%b" % (rest[:end], orjson.dumps(alias), entity_id, rest[end:])
    return b'{"id":"%b",%b' % (cursor.encode(), rest)


def json_size(event: Event) -> int:
    """How many bytes its JSON has, with an empty id. Raises TypeError as `event_json` does."""
    return len('{"id":"",') + len(event.rest or json_rest(event))


def json_rest(event: Event, *, leave: bool = False) -> bytes:
    """`event.rest`, made where it is not there; with `leave` another one, which is not kept.

    Raises TypeError as `event_json` does.
    """
    if event.rest is not None and not leave:
        return event.rest
    members = members_of(event, leave=leave)
    # A slice is as long as it says: what orjson returns holds on to a buffer of 4 KiB.
    rest = orjson.dumps(members)[1:]
    if not leave:
        event.rest = rest
    return rest


def members_of(event: Event, id_alias: str | None = None, *, leave: bool = False) -> dict[str, Any]:
    """The members of its JSON but for the id, in the order in which every transport has them."""
    members: dict[str, Any] = {"eventType": event.event_type}
    if event.entity_type is not None:
        members["entityType"] = event.entity_type
        members["entityId"] = event.entity_id
        if id_alias is not None:
            members[id_alias] = event.entity_id
    members["action"] = "leave" if leave else event.action
    if not leave:
        if event.data is not None:
            members["data"] = event.data
        if event.previous is not None:
            members["previous"] = event.previous
    members["timestamp"] = event.timestamp
    if event.source is not None:
        members["source"] = event.source
    if event.actor is not None:
        members["actor"] = event.actor
    if event.metadata is not None:
        members["metadata"] = event.metadata
    return members


def _not_reserved(value: str) -> str:
    if value in RESERVED_EVENT_TYPES:
        raise PydanticCustomError(
            "reserved", "'{value}' is a name that the gateway uses itself: choose another", {"value": value}
        )
    return value


def _printable(value: str) -> str:
    if _CONTROL.search(value) is not None:
        raise PydanticCustomError("control_characters", "control characters are not allowed")
    return value


def _rfc3339_in_utc(value: str) -> str:
    moment = in_utc(value)
    if moment is None:
        raise PydanticCustomError("timestamp", "must be a time of RFC 3339 such as 2026-11-20T10:30:00.123Z")
    return moment


# As text it is a pattern of pydantic's own regular expressions: half the time. There `$` is the very end.
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN.replace(r"\Z", "$"))]
EventType = Annotated[Name, AfterValidator(_not_reserved)]
EntityId = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_printable)]
Timestamp = Annotated[str, AfterValidator(_rfc3339_in_utc)]
Source = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_printable)]


Members = InstanceOf[dict[str, Any]]
"""A JSON object, taken as it is: what is in it has no rules, and may be large."""


@with_config(ConfigDict(strict=True, extra="forbid"))
class EventInput(TypedDict):
    """An event as a publisher writes it. A member that is not named here is refused, not dropped."""

    eventType: EventType
    entityType: NotRequired[Name]
    entityId: NotRequired[EntityId]
    action: NotRequired[Action]
    data: NotRequired[Members]
    previous: NotRequired[Members]
    timestamp: NotRequired[Timestamp]
    source: NotRequired[Source]
    actor: NotRequired[Members]
    metadata: NotRequired[Members]


EVENT_MEMBERS = ("id", *EventInput.__annotations__)
"""What an event may have on every transport, less its id alias."""

_INPUT = TypeAdapter(EventInput).validator
_ENTITY_TOGETHER = "entityType and entityId come together, or neither"

_WORDS = {
    "is_instance_of": "must be an object",
    "extra_forbidden": "is not a member that a publisher may give",
    "literal_error": "must be insert, update, delete or signal",
    "missing": "is required",
    "string_pattern_mismatch": "must be 1 to 64 of A-Z a-z 0-9 _ . -",
    "string_type": "must be text",
    "string_too_long": "must be 1 to 256 characters",
    "string_too_short": "must be 1 to 256 characters",
}
"""What a refusal says in JSON's words, by pydantic's name of the error."""


def parsing_events(
    raw: Sequence[Any], events: list[Event], *, now_ms: int, max_event_bytes: int, batch: bool
) -> Iterator[None]:
    """Appends to `events` what decoded JSON holds, in steps, one an event. Where it raises, none counts.

    `raw` holds one value an event; `batch` says whether the publisher sent a list, which the pointers of an
    error depend on. Raises InvalidEvents with a pointer to each bad place, at most MAX_ERRORS; where there is
    none BodyTooLarge for the first event whose JSON is over `max_event_bytes`.
    """
    places: list[dict[str, str]] = []
    refusal: PublisherError | None = None
    for index, value in enumerate(raw):
        base = f"/{index}" if batch else ""
        try:
            given: EventInput = _INPUT.validate_python(value)
        except ValidationError as error:
            places += _places(base, value, error)
        else:
            if ("entityType" in given) != ("entityId" in given):
                places.append({"pointer": base, "detail": _ENTITY_TOGETHER})
            else:
                event = _event(given, now_ms)
                refusal = refusal or _refused_size(event, base, max_event_bytes)
                events.append(event)
        if len(places) >= MAX_ERRORS:
            break
        yield
    if places:
        raise _invalid(places[:MAX_ERRORS])
    if refusal is not None:
        raise refusal


def _event(given: EventInput, now_ms: int) -> Event:
    """The event that the input means; `now_ms` (wall time) is its timestamp where it has none."""
    entity_type = given.get("entityType")
    return Event(
        event_type=given["eventType"],
        entity_type=entity_type,
        entity_id=given.get("entityId"),
        action=given.get("action") or ("signal" if entity_type is None else "update"),
        timestamp=given.get("timestamp") or rfc3339(now_ms),
        data=given.get("data"),
        previous=given.get("previous"),
        source=given.get("source"),
        actor=given.get("actor"),
        metadata=given.get("metadata"),
    )


def _places(base: str, value: Any, error: ValidationError) -> list[dict[str, str]]:
    """What is wrong with `value`, and where."""
    if not isinstance(value, dict):
        return [{"pointer": base, "detail": "an event is an object"}]
    for name, member in value.items():
        if member is None:
            return [{"pointer": base, "detail": f"{name} is null: leave it out"}]
    return [
        _place(base, detail["loc"], _WORDS.get(detail["type"], detail["msg"]))
        for detail in error.errors(include_url=False, include_input=False)
    ]


def _invalid(places: list[dict[str, str]]) -> InvalidEvents:
    return InvalidEvents("One or more events break the rules; none was published.", errors=places)


def _refused_size(event: Event, pointer: str, max_event_bytes: int) -> PublisherError | None:
    try:
        size = json_size(event)
    except TypeError:
        # orjson stops at 254 levels when it writes, although it reads deeper ones.
        detail = "nested too deeply, or not text: it can't be written as JSON"
        return _invalid([{"pointer": pointer, "detail": detail}])
    if size <= max_event_bytes:
        return None
    return BodyTooLarge(
        f"An event may have {max_event_bytes} bytes of JSON; this one has {size}.",
        errors=[{"pointer": pointer, "detail": f"{size} bytes, over {max_event_bytes}"}],
    )


def _place(base: str, location: tuple[int | str, ...], message: str) -> dict[str, str]:
    return {
        "pointer": base + "".join(f"/{escape_pointer(str(step))}" for step in location),
        "detail": message,
    }


def escape_pointer(step: str) -> str:
    """One reference token of a JSON pointer (RFC 6901, section 3)."""
    return step.replace("~", "~0").replace("/", "~1")
