"""What a caller may receive: grants, and the scope that they make (docs/protocol.md, section 9). Pure."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import orjson

from gateway.core.events import Event
from gateway.core.filters import Filter

EVERY = "*"
"""In place of an entity type: every event, those without an entity too."""
GLOBAL = "global"
"""In place of an entity type: the events without an entity."""

Members = frozenset[str] | None
"""The top-level members of `data` and `previous` that are shown; None for all."""

_Name = tuple[str, str | None]
"""An entity type, EVERY or GLOBAL, and the id that a grant is about, None for all."""

_TEXT_BYTES = 8
_NO_MEMBERS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Grant:
    """Events of an entity type, or EVERY or GLOBAL, that a caller may receive, claims filled in.

    `entity_id` narrows it to one entity, `filters` to rows that match all of them, and `members` to what is
    shown of those. Filters are equal by their text: two that mean the same have one text (`filter_of`).
    """

    entity: str
    entity_id: str | None = None
    filters: tuple[Filter, ...] = ()
    members: Members = None

    def names_type(self, entity_type: str) -> bool:
        """Whether it is about entities of that type, all of them or some."""
        return self.entity == EVERY or (self.entity == entity_type and entity_type != GLOBAL)

    def shows(self, member: str) -> bool:
        """Whether it shows that top-level member of a row."""
        return self.members is None or member in self.members

    @property
    def text(self) -> str:
        """The same for equal grants, and for no others."""
        parts = [
            self.entity,
            self.entity_id,
            sorted(given.text for given in self.filters),
            None if self.members is None else sorted(self.members),
        ]
        return orjson.dumps(parts).decode()


class Row:
    """A state of an event's entity: the members of `over`, and for the others those of `data`.

    So an old state is what changed over what there is now, without a copy of both.
    """

    __slots__ = ("_data", "_over")

    def __init__(self, data: Mapping[str, Any], over: Mapping[str, Any] = _NO_MEMBERS) -> None:
        self._data = data
        self._over = over

    def matches(self, given: Filter) -> bool:
        """Whether the state has what the filter asks for."""
        return given.matches(self._over if given.path[0] in self._over else self._data)


class Coverage(NamedTuple):
    """The grants that cover one state of an event's entity, none where it is out of sight."""

    grants: tuple[Grant, ...]

    def __bool__(self) -> bool:
        return bool(self.grants)

    def shows(self, member: str) -> bool:
        """Whether any of the grants shows that top-level member."""
        return any(grant.shows(member) for grant in self.grants)

    @property
    def members(self) -> Members:
        """Those that all of the grants together show."""
        shown: set[str] = set()
        for grant in self.grants:
            if grant.members is None:
                return None
            shown |= grant.members
        return frozenset(shown)


@dataclass(frozen=True, slots=True)
class Scope:
    """The subscribe grants of a caller. Equal ones are of the same grants, in whatever order they came.

    `text` is the cursor's: the first 8 bytes of the SHA-256 over the grants' texts, sorted and without
    repeats, in base64url without padding (RFC 4648, section 5). `is_partial` says that some grant shows
    certain members alone. Scopes are compared by the whole digest: equal ones are sent the same frames.
    """

    grants: tuple[Grant, ...] = field(compare=False)
    text: str
    is_partial: bool = field(compare=False)
    _digest: bytes = field(repr=False)
    _named: Mapping[_Name, tuple[Grant, ...]] = field(compare=False, repr=False)

    @classmethod
    def of(cls, grants: Iterable[Grant]) -> Self:
        by_text = {grant.text: grant for grant in grants}
        texts = sorted(by_text)
        digest = hashlib.sha256(orjson.dumps(texts)).digest()
        named: dict[_Name, tuple[Grant, ...]] = {}
        for grant in by_text.values():
            name = (grant.entity, grant.entity_id)
            named[name] = (*named.get(name, ()), grant)
        return cls(
            tuple(by_text[text] for text in texts),
            base64.urlsafe_b64encode(digest[:_TEXT_BYTES]).rstrip(b"=").decode(),
            any(grant.members is not None for grant in by_text.values()),
            digest,
            named,
        )

    @property
    def size(self) -> int:
        """How many grants, operands and members it has, which is what it costs to keep."""
        return sum(
            1 + len(grant.members or ()) + sum(len(given.operands) for given in grant.filters)
            for grant in self.grants
        )

    def may_see(self, entity_type: str) -> bool:
        """Whether any event of that type could be covered."""
        return any(grant.names_type(entity_type) for grant in self.grants)

    def covers_type(self, entity_type: str) -> bool:
        """Whether every row of that type is covered, with all its members."""
        return any(
            grant.names_type(entity_type)
            and grant.entity_id is None
            and not grant.filters
            and grant.members is None
            for grant in self.grants
        )

    def coverage(self, event: Event, row: Row) -> Coverage:
        """The grants that cover the event's entity where its state is `row`."""
        named = self._named
        if event.entity_type is None:
            about = named.get((GLOBAL, None), ())
        elif event.entity_type == GLOBAL:
            # An entity type may well be called that: it can't be granted by name.
            about = ()
        else:
            about = named.get((event.entity_type, None), ()) + named.get(
                (event.entity_type, event.entity_id), ()
            )
        about += named.get((EVERY, None), ())
        return Coverage(tuple([grant for grant in about if all(map(row.matches, grant.filters))]))


NOTHING = Scope.of(())
"""The scope of whoever is granted nothing."""
