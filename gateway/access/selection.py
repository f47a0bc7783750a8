"""What a caller gets of what it asks for: the one place that decides it (docs/protocol.md, section 9)."""

from dataclasses import replace

from gateway.access.principal import Principal
from gateway.core.access_errors import InsufficientScope
from gateway.core.grants import EVERY, GLOBAL, Grant
from gateway.core.selectors import Selector

_NOT_GRANTED = (
    "Nothing that you are granted can match what you ask for: ask for less, or for a token that may see it."
)
"""The same for whatever is missing: an entity, a row, or a member that a filter names."""


def granted(asked: Selector, principal: Principal) -> Selector:
    """The selection of a caller that asks for `asked`: that AND what it is granted.

    Raises InsufficientScope where no grant can match the request at all, and where a filter names a member
    that none of those that could shows. The two look alike: what is not granted must not tell what there is.
    """
    scope = principal.scope
    if scope is None:
        return asked
    able = [grant for grant in scope.grants if _can_match(grant, asked)]
    # A grant's own filter may name a member that it does not show: a caller must not find out its operand.
    if not able or not all(any(grant.shows(given.path[0]) for grant in able) for given in asked.filters):
        raise InsufficientScope(_NOT_GRANTED)
    return replace(asked, scope=scope)


def _can_match(grant: Grant, asked: Selector) -> bool:
    """Whether any event that the grant covers can be part of what was asked for."""
    if asked.entities and not _meets(grant, asked):
        return False
    shown = [given for given in asked.filters if grant.shows(given.path[0])]
    return not any(given.excludes(own) for given in shown for own in grant.filters)


def _meets(grant: Grant, asked: Selector) -> bool:
    """Whether the grant is about any of the entities that were asked for, of which there are some.

    They are looked up: a thousand of them times a thousand grants would hold up everybody else.
    """
    if grant.entity in (EVERY, GLOBAL):
        return grant.entity == EVERY
    if grant.entity_id is None:
        return asked.names_type(grant.entity)
    return (grant.entity, grant.entity_id) in asked.entities or (grant.entity, None) in asked.entities
