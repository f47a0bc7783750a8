"""Whose state somebody asks for: certain entity types, and what is selected of them."""

from dataclasses import replace
from typing import NamedTuple

from gateway.core.selectors import Selector


class StateQuestion(NamedTuple):
    """Entity types, in order, and the selection of their items. Who asks the same has equal ones.

    The selector names no event types, for a state is no event, and withholds nothing of these types.
    """

    entity_types: tuple[str, ...]
    selector: Selector


def question_of(selector: Selector, owned: frozenset[str] = frozenset()) -> StateQuestion | None:
    """The state that goes with a selection; None where it is about no types that can be named.

    `owned` are the types of the components that the caller names: what it means where it asks for none. Of
    either only those count that it could receive.
    """
    asked = frozenset(entity_type for entity_type, _ in selector.entities) or owned
    entity_types = tuple(sorted(filter(selector.may_receive, asked)))
    if not entity_types:
        return None
    narrowed = selector.narrowed(frozenset(entity_types))
    # Most name no event types: the state's selection is then the stream's own, and no copy of it.
    of_state = replace(narrowed, event_types=frozenset()) if narrowed.event_types else narrowed
    return StateQuestion(entity_types, of_state)
