"""The values that a selection asks members of an entity type to have. Pure."""

from collections.abc import Iterable, Iterator
from itertools import islice, product
from operator import eq

from gateway.core.filters import OPERATORS, Filter
from gateway.core.selectors import Selector

MAX_ROWS = 1000
"""As many as a selection may have operands."""


def selected_values(
    selector: Selector, entity_type: str, members: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """The texts that the members have in what the selection may match, one for each; MAX_ROWS at most.

    None where it could match others as well: where no filter of it has a member equal something, and its
    grants don't either, or where it can't receive the type at all.
    """
    if not selector.may_receive(entity_type):
        return
    found = [_texts_of(selector, entity_type, member) for member in members]
    if all(texts is not None for texts in found):
        yield from islice(product(*(texts or () for texts in found)), MAX_ROWS)


def _texts_of(selector: Selector, entity_type: str, member: str) -> Iterable[str] | None:
    asked = _equal_to(selector.filters, member)
    if asked is not None or selector.scope is None:
        return asked
    texts: dict[str, None] = {}
    for grant in selector.scope.grants:
        if grant.names_type(entity_type):
            granted = _equal_to(grant.filters, member)
            if granted is None:
                return None
            texts.update(granted)
    return texts


def _equal_to(filters: Iterable[Filter], member: str) -> dict[str, None] | None:
    """The texts that all of the filters on that member let it equal; None where none of them says that."""
    texts: dict[str, None] | None = None
    for given in filters:
        if given.path == (member,) and OPERATORS[given.operator] is eq:
            own = {operand: None for operand in given.operands if isinstance(operand, str)}
            texts = own if texts is None else {text: None for text in texts if text in own}
    return texts
