"""What the rows that a selection may match have in common: members that equal something, and ids. Pure."""

from collections.abc import Iterator
from operator import eq
from typing import Any, NamedTuple

from gateway.core.filters import OPERATORS
from gateway.core.grants import Grant
from gateway.core.selectors import Selector

ID: tuple[str, ...] = ()
"""In place of a member's path: the entity's id."""


class Term(NamedTuple):
    """The member at `path` is one of `values`, JSON scalars; where null is one it may be absent as well."""

    path: tuple[str, ...]
    values: tuple[Any, ...]


Choice = tuple[tuple[Term, ...], ...]
"""Of some alternatives a row has one, with all of its terms."""


def choices_of(selector: Selector, entity_type: str) -> Iterator[Choice]:
    """What holds for every row of the type that the selection matches: all of them; none where it is nothing.

    Rows that have all of that need not match: a filter knows more of values than that they are equal.
    """
    ids = selector.ids_of(entity_type)
    if ids is not None:
        yield ((Term(ID, tuple(ids)),),)
    for given in selector.filters:
        if OPERATORS[given.operator] is eq:
            yield ((Term(given.path, given.operands),),)
    if selector.scope is not None:
        grants = [grant for grant in selector.scope.grants if grant.names_type(entity_type)]
        granted = tuple(_terms(grant) for grant in grants)
        if all(granted):
            yield granted


def is_part(selector: Selector, entity_type: str) -> bool:
    """Whether rows of the type are selected by what stands in them, or granted by that or their ids."""
    granted = () if selector.scope is None else selector.scope.grants
    return bool(selector.filters) or any(
        grant.names_type(entity_type) and (grant.filters or grant.entity_id is not None) for grant in granted
    )


def _terms(grant: Grant) -> tuple[Term, ...]:
    if grant.entity_id is not None:
        return (Term(ID, (grant.entity_id,)),)
    return tuple(
        Term(given.path, given.operands) for given in grant.filters if OPERATORS[given.operator] is eq
    )
