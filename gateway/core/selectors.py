"""What a reader asked for, and whether an event is part of it (docs/protocol.md, section 3).

Pure: query parameters in, decisions out. Two readers that asked for the same have equal selectors, however
they wrote it.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from operator import eq
from typing import Any, Protocol

from gateway.core.errors import BadParameter
from gateway.core.events import NAME_PATTERN, REVOCATION, Event, has_control_characters
from gateway.core.filters import OPERATORS, Filter, member, parse_filters
from gateway.core.grants import EVERY, GLOBAL, Coverage, Grant, Row, Scope
from gateway.core.quoted_values import read_value, written

_NAME = re.compile(NAME_PATTERN)
_EVENT_TYPE_PARAMETERS = ("eventTypes", "event_type", "types")
SELECTING_PARAMETERS = ("entity", "filter", *_EVENT_TYPE_PARAMETERS)
"""Those of a selection, less the id aliases."""
_TYPE_BEFORE_ID = re.compile(r"[^,:]*:")

MAX_VALUES = 1000
"""How many entities, ids, event types and operands of filters a selection may have, counted as written."""
MAX_FILTERS = 32


class MultiMapping(Protocol):
    """Query parameters, each with all its values in order; multidict's classes are one."""

    def getall(self, key: str, default: list[str], /) -> list[str]: ...


class Match(Enum):
    """What becomes of an event for one selector."""

    SKIP = 0
    DELIVER = 1
    LEAVE = 2


Key = tuple[Any, ...]
"""Where the index files a selector; `Selector.index_keys` and `event_keys` make equal ones."""

EVERYTHING: Key = ("all",)


def entity_key(entity_type: str, entity_id: str) -> Key:
    return ("entity", entity_type, entity_id)


def type_key(entity_type: str) -> Key:
    return ("type", entity_type)


def member_key(path: tuple[str, ...], value: Any) -> Key | None:
    """The key of "this member equals this value", or None for a value that is not a scalar."""
    if value is None or isinstance(value, bool | str):
        # The type belongs to the key: for Python True equals 1, for JSON it does not.
        return ("member", path, type(value).__name__, value)
    if isinstance(value, int | float):
        return ("member", path, "number", value)
    return None


_NOTHING: frozenset[Any] = frozenset()
"""One for all selections: every other empty set takes 216 bytes."""


@lru_cache(maxsize=1024)
def _one(entity_type: str) -> frozenset[str]:
    """What most selections are about: one type, and often each of them one id of it."""
    return frozenset({entity_type})


@dataclass(frozen=True, slots=True)
class Selector:
    """A reader's selection. The kinds are ANDed, the values of one kind ORed; an empty kind asks nothing.

    `entities` holds `(type, id)`, with None for every id of the type. `withheld` are entity types that the
    reader is not to get, whatever it asked for (docs/protocol.md, section 8). `scope` is what it may receive:
    it gets what it asked for AND that; None without authentication, where it may receive everything.
    """

    entities: frozenset[tuple[str, str | None]] = frozenset()
    event_types: frozenset[str] = frozenset()
    filters: tuple[Filter, ...] = ()
    withheld: frozenset[str] = frozenset()
    scope: Scope | None = None
    _types: frozenset[str] = field(init=False, compare=False, repr=False)
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        of = (self.entities, self.event_types, self.filters, self.withheld, self.scope)
        object.__setattr__(self, "_hash", hash(of))
        for kind in ("entities", "event_types", "withheld"):
            if not getattr(self, kind):
                object.__setattr__(self, kind, _NOTHING)
        types = frozenset(named for named, _ in self.entities)
        object.__setattr__(self, "_types", _one(*types) if len(types) == 1 else types)

    def __hash__(self) -> int:
        # Groups, plans and states are looked up by it: thousands of times for one that is made once.
        return self._hash

    def index_keys(self) -> tuple[Key, ...]:
        """Where to file this selector: an event that it matches has at least one of these keys.

        The most selective kind alone: entities by id, else an equality on a member, else what the grants
        say in the same way, else types.
        """
        types_only = any(entity_id is None for _, entity_id in self.entities)
        if not self.entities or types_only:
            for given in self.filters:
                keys = _equality_keys(given)
                if keys:
                    return keys
            if self.scope is not None and (granted := self._granted_keys(self.scope)):
                return granted
        if not self.entities:
            return (EVERYTHING,)
        return tuple(
            type_key(entity_type) if entity_id is None else entity_key(entity_type, entity_id)
            for entity_type, entity_id in self.entities
        )

    def _granted_keys(self, scope: Scope) -> tuple[Key, ...]:
        """A key for every event that the grants cover, and some others; none where they cover everything."""
        keys: dict[Key, None] = {}
        for grant in scope.grants:
            if not self._types or grant.entity == EVERY or grant.entity in self._types:
                own = _grant_keys(grant)
                if EVERYTHING in own:
                    return ()
                keys.update(dict.fromkeys(own))
        return tuple(keys)

    def names_type(self, entity_type: str) -> bool:
        """Whether entities of that type were asked for by name, all of them or some."""
        return entity_type in self._types

    def ids_of(self, entity_type: str) -> list[str] | None:
        """The ids that were asked for of a type, in order; None for every one."""
        ids = {entity_id for named, entity_id in self.entities if named == entity_type}
        return sorted(filter(None, ids)) if ids and None not in ids else None

    def may_receive(self, entity_type: str) -> bool:
        """Whether an event of that entity type could match at all."""
        if entity_type in self.withheld or (self.scope is not None and not self.scope.may_see(entity_type)):
            return False
        return not self.entities or entity_type in self._types

    @property
    def types(self) -> frozenset[str | None]:
        """The entity types that it could receive; None stands for "any"."""
        asked = self._types - self.withheld
        if self.scope is None:
            return asked if self.entities else frozenset({None})
        granted = {grant.entity for grant in self.scope.grants} - {GLOBAL}
        if EVERY in granted:
            return asked if self.entities else frozenset(granted - {EVERY} | {None})
        return asked & granted if self.entities else frozenset(granted)

    @property
    def scope_text(self) -> str:
        """What the reader's cursors have behind their position; nothing without authentication."""
        return "" if self.scope is None else self.scope.text

    @property
    def is_barren(self) -> bool:
        """Whether nothing can match: the reader asked for certain types, and all of them are withheld."""
        return bool(self.entities) and self._types <= self.withheld

    @property
    def size(self) -> int:
        """How many values it has, which is what it costs to keep."""
        operands = sum(len(given.operands) for given in self.filters)
        granted = 0 if self.scope is None else self.scope.size
        return len(self.entities) + len(self.event_types) + operands + granted

    def narrowed(self, entity_types: frozenset[str]) -> "Selector":
        """What of this selection is about these types, withheld or not; all of it where they are none.

        That is this very object where nothing is left out.
        """
        entities = self.entities
        if entity_types and not self.entities:
            entities = frozenset((entity_type, None) for entity_type in entity_types)
        elif entity_types and not self._types <= entity_types:
            entities = frozenset(named for named in self.entities if named[0] in entity_types)
        is_all = entities is self.entities and not self.withheld
        return self if is_all else replace(self, entities=entities, withheld=_NOTHING)

    def match(self, event: Event) -> Match:
        """What becomes of `event` for this selector. A revocation is nobody's, whatever was asked for."""
        if event.event_type == REVOCATION or event.entity_type in self.withheld:
            return Match.SKIP
        if self.event_types and event.event_type not in self.event_types:
            return Match.SKIP
        if self.entities and not self._names(event):
            return Match.SKIP
        if self.scope is not None:
            return self._match_granted(event, self.scope)
        if not self.filters:
            return Match.DELIVER
        data = event.data or {}
        previous = event.previous
        if event.action == "delete":
            # What was deleted is described by what it was last.
            matches = self._filters_match(data) if previous is None else self._filters_matched(data, previous)
            return Match.DELIVER if matches else Match.SKIP
        if self._filters_match(data):
            return Match.DELIVER
        if event.action == "update" and previous is not None and self._matched_before(data, previous):
            return Match.LEAVE
        return Match.SKIP

    def _match_granted(self, event: Event, scope: Scope) -> Match:
        """What becomes of an event that it asked for, but for its filters.

        A filter looks at what the reader is shown: one on a member that no covering grant shows matches
        nothing, or it would tell what is in there.
        """
        data, previous = event.data or {}, event.previous
        if event.action == "delete":
            row = Row(data, previous or {})
            return Match.DELIVER if self._sees(scope.coverage(event, row), row) else Match.SKIP
        row = Row(data)
        if self._sees(scope.coverage(event, row), row):
            return Match.DELIVER
        if event.action == "update" and previous is not None:
            # What the grants covered is decided over the whole old state; as to what was asked for, see
            # `_matched_before`.
            old = Row(data, previous)
            before = scope.coverage(event, old)
            if self._sees(before, old) or self._sees(before, Row(previous)):
                return Match.LEAVE
        return Match.SKIP

    def _sees(self, coverage: Coverage, row: Row) -> bool:
        if not coverage:
            return False
        return all(coverage.shows(given.path[0]) and row.matches(given) for given in self.filters)

    def shown(self, event: Event) -> Event:
        """What the reader is shown of an event that it is delivered: the same object where that is all."""
        scope = self.scope
        if scope is None or not (scope.is_partial or event.previous is not None):
            return event
        data, previous = event.data or {}, event.previous
        before = scope.coverage(event, Row(data, previous or {}))
        now = before if event.action == "delete" else scope.coverage(event, Row(data))
        visible = _visible(event.data, now)
        visible_before = _visible(previous, before)
        if visible is event.data and visible_before is previous:
            return event
        return replace(event, data=visible, previous=visible_before)

    def _names(self, event: Event) -> bool:
        entity_type = event.entity_type
        if entity_type is None:
            return False
        return (entity_type, event.entity_id) in self.entities or (entity_type, None) in self.entities

    def _filters_match(self, data: Mapping[str, Any]) -> bool:
        return all(given.matches(data) for given in self.filters)

    def _matched_before(self, data: Mapping[str, Any], previous: Mapping[str, Any]) -> bool:
        # `previous` may be the whole old state or only its changed members: what it leaves out is then as
        # it is now. A leave too many is harmless, one too few leaves a stale row on somebody's screen.
        return self._filters_match(previous) or self._filters_matched(data, previous)

    def _filters_matched(self, data: Mapping[str, Any], previous: Mapping[str, Any]) -> bool:
        # The members of `previous` over those of `data`, without a copy of both for every reader.
        return all(given.matches(previous if given.path[0] in previous else data) for given in self.filters)

    def query(self) -> list[tuple[str, str]]:
        """Query parameters that parse to this selector, in a fixed order; none says what is withheld."""
        entities = sorted((kind, entity_id or "") for kind, entity_id in self.entities)
        return [
            *(
                ("entity", f"{kind}:{written(entity_id)}" if entity_id else kind)
                for kind, entity_id in entities
            ),
            *(("eventTypes", event_type) for event_type in sorted(self.event_types)),
            *(("filter", given.text) for given in self.filters),
        ]


def _visible(state: Mapping[str, Any] | None, coverage: Coverage) -> Mapping[str, Any] | None:
    """The members of `state` that the grants show; None where they don't cover it."""
    if state is None or not coverage:
        return None
    members = coverage.members
    if members is None or state.keys() <= members:
        return state
    return {name: value for name, value in state.items() if name in members}


def _grant_keys(grant: Grant) -> tuple[Key, ...]:
    """Where an event that the grant covers is to be found; EVERYTHING where that is anywhere."""
    if grant.entity in (EVERY, GLOBAL):
        return (EVERYTHING,)
    if grant.entity_id is not None:
        return (entity_key(grant.entity, grant.entity_id),)
    return next(filter(None, map(_equality_keys, grant.filters)), (type_key(grant.entity),))


def _equality_keys(given: Filter) -> tuple[Key, ...]:
    # Also a member that is not there is null: an event has no key for that.
    is_null = given.operator == "is" and given.operands[0] is None
    if is_null or OPERATORS[given.operator] is not eq:
        return ()
    keys = (member_key(given.path, operand) for operand in given.operands)
    return tuple(dict.fromkeys(key for key in keys if key is not None))


def event_keys(event: Event, indexed_paths: Iterable[tuple[str, ...]]) -> list[Key]:
    """Every key under which a selector that matches `event` could be filed; some may come twice.

    `indexed_paths` are the members that any filed selector is filed under. The old state counts too: the
    selector that it matched is told that the entity left. A revocation has none.
    """
    if event.event_type == REVOCATION:
        return []
    keys = [EVERYTHING]
    if event.entity_type is not None and event.entity_id is not None:
        keys += type_key(event.entity_type), entity_key(event.entity_type, event.entity_id)
    for path in indexed_paths:
        for state in (event.data, event.previous):
            key = member_key(path, member(state, path))
            if key is not None:
                keys.append(key)
    return keys


def parse_selector(
    query: MultiMapping, id_aliases: Mapping[str, str], text_members: Container[str] = ()
) -> Selector:
    """The selection that query parameters write.

    `id_aliases` gives the parameter that selects entities of a type by id, by entity type; `text_members` are
    those of `parse_filters`. Raises
    BadParameter naming the parameter: that of a malformed value, or with which the selection has more than
    MAX_VALUES values or MAX_FILTERS filters. Parameters of other names are left alone.
    """
    room = _Room()
    entities = set(_entities(query, room))
    for entity_type, alias in id_aliases.items():
        entities |= {(entity_type, _entity_id(alias, value)) for value in _values(query, alias, room)}
    event_types = {
        _name(parameter, value)
        for parameter in _EVENT_TYPE_PARAMETERS
        for value in _values(query, parameter, room)
    }
    filters = set(_filters(query, text_members, room))
    return Selector(
        frozenset(entities), frozenset(event_types), tuple(sorted(filters, key=lambda given: given.text))
    )


class _Room:
    """How many values a selection may still have. Whoever selects by more asks for what nobody reads."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def take(self, parameter: str, count: int) -> None:
        """Counts values of `parameter`. Raises BadParameter where they are too many."""
        self._left -= count
        if self._left < 0:
            raise BadParameter(
                parameter,
                f"a selection has at most {MAX_VALUES} entities, event types and operands of filters in all: "
                "select by less, or open several streams",
            )


def _values(query: MultiMapping, parameter: str, room: _Room) -> Iterator[str]:
    for joined in query.getall(parameter, []):
        start = 0
        while start <= len(joined):
            value = read_value(parameter, joined, start)
            room.take(parameter, 1)
            if not value.text:
                raise BadParameter(parameter, "a value is empty")
            yield value.text
            start = value.end + 1


def _entities(query: MultiMapping, room: _Room) -> Iterator[tuple[str, str | None]]:
    for joined in query.getall("entity", []):
        start = 0
        while start <= len(joined):
            kind = _TYPE_BEFORE_ID.match(joined, start)
            value = read_value("entity", joined, start if kind is None else kind.end())
            room.take("entity", 1)
            if kind is None:
                yield _name("entity", value.text), None
            else:
                yield _name("entity", kind[0].removesuffix(":")), _entity_id("entity", value.text)
            start = value.end + 1


def _filters(query: MultiMapping, text_members: Container[str], room: _Room) -> Iterator[Filter]:
    filters = (
        given for joined in query.getall("filter", []) for given in parse_filters(joined, text_members)
    )
    for count, given in enumerate(filters, 1):
        if count > MAX_FILTERS:
            raise BadParameter("filter", f"a selection has at most {MAX_FILTERS} filters")
        room.take("filter", given.written)
        yield given


def _name(parameter: str, value: str) -> str:
    if not _NAME.match(value):
        raise BadParameter(parameter, "a name is 1 to 64 of A-Z a-z 0-9 _ . -")
    return value


def _entity_id(parameter: str, value: str) -> str:
    if not 1 <= len(value) <= 256 or has_control_characters(value):
        raise BadParameter(
            parameter, "an entity's id is 1 to 256 characters, none of them a control character"
        )
    return value
