"""Who wants to hear of what, as those see it who ask upstreams."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from gateway.ports.legacy_route import LegacyRoute


class RowMembers(NamedTuple):
    """Members that tell the rows of an entity type apart: those of a path with parameters."""

    entity_type: str
    members: tuple[str, ...]


def rows_of(route: LegacyRoute) -> RowMembers:
    """What tells the rows apart that a route's paths list."""
    return RowMembers(route.entity, route.parameters or tuple(route.members))


Values = tuple[str, ...]
"""A text for each of such members, in their order."""


class WantedRows(Protocol):
    """Which rows streams and polls want whose filters, or grants, name the values of such members."""

    def wants_row(self, of: RowMembers, values: Values) -> bool:
        """Whether somebody wants the rows that have these values."""
        ...

    def take_new(self, of: RowMembers) -> Collection[Values]:
        """The values that have become wanted since this was asked last; they may not be any more."""
        ...


class NoRows:
    """Nobody wants any."""

    def wants_row(self, of: RowMembers, values: Values) -> bool:
        return False

    def take_new(self, of: RowMembers) -> Collection[Values]:
        return ()
