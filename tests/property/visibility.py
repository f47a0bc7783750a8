"""What a caller is shown of an event: docs/protocol.md, sections 3 and 9, said again in plain words.

Nothing here is the gateway's but the event: grants and requests are data, and compared by the code below.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from gateway.core.events import Event

State = Mapping[str, Any]

ABSENT = object()
"""The value of a member that is not there."""


class Comparison(NamedTuple):
    """A filter: a member, which may be one of an object (`o.k`), an operator, and its operands."""

    member: str
    operator: str
    operands: tuple[Any, ...]

    @property
    def named(self) -> str:
        """The member of the row that it looks at."""
        return self.member.split(".")[0]

    @property
    def text(self) -> str:
        """The comparison as a request writes it. Text stands in quotes, as JSON has them."""
        said = ",".join(json.dumps(operand) for operand in self.operands)
        return f"{self.member}={self.operator}.{f'({said})' if self.operator == 'in' else said}"

    def holds(self, state: State) -> bool:
        """Whether a row in that state has what it asks for."""
        value: Any = state
        for name in self.member.split("."):
            value = value.get(name, ABSENT) if isinstance(value, dict) else ABSENT
        first = self.operands[0]
        if value is ABSENT:
            return self.operator == "is" and first is None
        if self.operator in ("eq", "is", "in"):
            return any(_same(value, operand) for operand in self.operands)
        if self.operator == "neq":
            return not _same(value, first)
        if _kind(value) != _kind(first) or _kind(value) not in ("number", "text"):
            return False
        return bool(value > first if self.operator == "gt" else value < first)


def _kind(value: Any) -> str:
    """The type that JSON gives a value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "null" if value is None else "structure"


def _same(one: Any, other: Any) -> bool:
    return _kind(one) == _kind(other) != "structure" and bool(one == other)


class Granted(NamedTuple):
    """A grant. `entity` is a type, "*" or "global"; `members` are those that it shows, None for all."""

    entity: str
    entity_id: str | None = None
    where: tuple[Comparison, ...] = ()
    members: frozenset[str] | None = None

    def names(self, event: Event) -> bool:
        """Whether it is about what the event is about, in whatever state that is."""
        if self.entity == "*":
            return True
        if event.entity_type is None:
            return self.entity == "global"
        return self.entity == event.entity_type != "global" and self.entity_id in (None, event.entity_id)

    def covers(self, event: Event, state: State) -> bool:
        """Whether it is about an event whose entity is in that state."""
        return self.names(event) and all(comparison.holds(state) for comparison in self.where)

    def shows(self, member: str) -> bool:
        return self.members is None or member in self.members


class Wish(NamedTuple):
    """What a caller asks for: entities as in the query, event types, and filters; nothing for everything."""

    entities: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    where: tuple[Comparison, ...] = ()

    def names(self, event: Event) -> bool:
        """Whether it is for such events, whatever their data."""
        named = {event.entity_type, f"{event.entity_type}:{event.entity_id}"}
        if self.entities and (event.entity_type is None or not named & set(self.entities)):
            return False
        return not self.event_types or event.event_type in self.event_types

    def finds(self, grants: Iterable[Granted], state: State) -> bool:
        """Whether a reader that gets a state by these grants, and sees by them, finds what it asked for."""
        grants = list(grants)
        return bool(grants) and all(
            any(grant.shows(comparison.named) for grant in grants) and comparison.holds(state)
            for comparison in self.where
        )


Caller = tuple[Granted, ...]
"""What a caller is granted."""


def is_refused(caller: Caller, wish: Wish) -> bool:
    """Whether it is a 403: no grant can match the request, or none of those shows what it filters by."""
    able = [grant for grant in caller if _may_meet(grant, wish)]
    return not able or not all(
        any(grant.shows(comparison.named) for grant in able) for comparison in wish.where
    )


def _may_meet(grant: Granted, wish: Wish) -> bool:
    about = [entity.partition(":") for entity in wish.entities]
    if about and not any(
        grant.entity in ("*", entity_type if entity_type != "global" else "*")
        and (not entity_id or grant.entity_id in (None, entity_id))
        for entity_type, _, entity_id in about
    ):
        return False
    return not any(
        asked.member == own.member and grant.shows(asked.named) and _never_both(asked, own)
        for asked in wish.where
        for own in grant.where
    )


def _never_both(one: Comparison, other: Comparison) -> bool:
    """Whether the two ask a member for values that are never the same."""
    if not {one.operator, other.operator} <= {"eq", "in", "is"}:
        return False
    return not any(_same(value, another) for value in one.operands for another in other.operands)


def shown(caller: Caller, wish: Wish, event: Event) -> dict[str, Any] | None:
    """The event as the caller gets it, but for its `id`; None where it gets nothing of it."""
    if not wish.names(event):
        return None
    data, previous = event.data or {}, event.previous
    before = {**data, **(previous or {})}
    now = before if event.action == "delete" else data
    covering = [grant for grant in caller if grant.covers(event, now)]
    covered = [grant for grant in caller if grant.covers(event, before)]
    told: dict[str, Any] = {"eventType": event.event_type}
    if event.entity_type is not None:
        told |= {"entityType": event.entity_type, "entityId": event.entity_id}
    if wish.finds(covering, now):
        told["action"] = event.action
        told |= _visible("data", event.data, covering) | _visible("previous", previous, covered)
    elif (
        event.action == "update"
        and previous is not None
        # As to what was asked for, `previous` may also be taken for the whole of the old state.
        and (wish.finds(covered, before) or wish.finds(covered, previous))
    ):
        told["action"] = "leave"
    else:
        return None
    return told | {"timestamp": event.timestamp}


def _visible(name: str, state: State | None, grants: list[Granted]) -> dict[str, State]:
    """The member `name` of an event that holds a state which these grants cover."""
    if state is None or not grants:
        return {}
    return {name: {member: state[member] for member in state if any(grant.shows(member) for grant in grants)}}


def members_shown(told: Mapping[str, Any] | None) -> set[tuple[str, str]]:
    """Where an event shows something: `data` or `previous`, and the member."""
    told = told or {}
    return set(
        chain.from_iterable(
            ((part, member) for member in told.get(part, {})) for part in ("data", "previous")
        )
    )
