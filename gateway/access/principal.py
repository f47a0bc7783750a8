"""The caller of a request, and what it may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.credentials import NOBODY, Credentials
from gateway.core.grants import EVERY, GLOBAL, NOTHING, Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose token, key or absence of both was checked.

    `scope` is what it may receive: None for everything, which is so without authentication alone. `publish`
    holds entity types, EVERY or GLOBAL; `presence` and `broadcast` channels, or EVERY. `claims` are the
    token's.
    """

    credentials: Credentials = NOBODY
    scope: Scope | None = NOTHING
    publish: frozenset[str] = frozenset()
    presence: frozenset[str] = frozenset()
    broadcast: frozenset[str] = frozenset()
    admin: bool = False
    metrics: bool = False
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def scope_text(self) -> str:
        """What the caller's cursors have behind their position; nothing without authentication."""
        return "" if self.scope is None else self.scope.text

    def may_publish(self, entity_type: str | None) -> bool:
        """Whether it may publish events of that entity type, or where that is None without an entity."""
        if EVERY in self.publish:
            return True
        if entity_type is None:
            return GLOBAL in self.publish
        return entity_type != GLOBAL and entity_type in self.publish


OPEN = Principal(
    scope=None,
    publish=frozenset({EVERY}),
    presence=frozenset({EVERY}),
    broadcast=frozenset({EVERY}),
    admin=True,
    metrics=True,
)
"""Every caller, where `auth.mode` is "none": the gateway serves its own machine only."""
