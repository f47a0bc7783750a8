"""What a caller may receive: grants, and the scope that they make (docs/protocol.md, section 9). Pure."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.core.filters import Filter

EVERY = "*"
"""In place of an entity type: every event, those without an entity too."""
GLOBAL = "global"
"""In place of an entity type: the events without an entity."""

Members = frozenset[str] | None
"""The top-level members of `data` and `previous` that are shown; None for all."""

_DIGEST_BYTES = 8


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

    def names(self, entity_type: str | None, entity_id: str | None) -> bool:
        """Whether it is about that entity, or where both are None about events without one."""
        if self.entity == EVERY:
            return True
        if entity_type is None:
            return self.entity == GLOBAL
        # An entity type may well be called "global": it can't be granted by that name.
        if self.entity != entity_type or self.entity == GLOBAL:
            return False
        return self.entity_id is None or self.entity_id == entity_id

    def covers(self, state: Mapping[str, Any]) -> bool:
        """Whether it covers a row in that state, of an entity that it names."""
        return all(given.matches(state) for given in self.filters)

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


@dataclass(frozen=True, slots=True)
class Scope:
    """The subscribe grants of a caller. Equal ones are of the same grants, in whatever order they came.

    `text` is the cursor's: the first 8 bytes of the SHA-256 over the grants' texts, sorted and without
    repeats, in base64url without padding (RFC 4648, section 5).
    """

    grants: tuple[Grant, ...] = field(compare=False)
    text: str

    @classmethod
    def of(cls, grants: Iterable[Grant]) -> "Scope":
        by_text = {grant.text: grant for grant in grants}
        texts = sorted(by_text)
        digest = hashlib.sha256(orjson.dumps(texts)).digest()[:_DIGEST_BYTES]
        return cls(
            tuple(by_text[text] for text in texts), base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        )


NOTHING = Scope.of(())
"""The scope of whoever is granted nothing."""
