"""Which groups an event may concern, without asking every group.

A group is filed under its selector's most selective keys; an event looks up the few keys that it has. What
an event of one order costs does not grow with the number of groups for other orders.
"""

from collections import Counter
from typing import Generic, Protocol, TypeVar

from gateway.core.events import Event
from gateway.core.selectors import Key, Selector, event_keys


class Filed(Protocol):
    """What the index holds."""

    @property
    def selector(self) -> Selector: ...


G = TypeVar("G", bound=Filed)


class SelectorIndex(Generic[G]):
    """Groups by index key, and how many of them could receive each entity type."""

    def __init__(self) -> None:
        self._groups: dict[Key, dict[G, None]] = {}
        self._paths: Counter[tuple[str, ...]] = Counter()
        self._types: Counter[str | None] = Counter()

    def add(self, group: G) -> None:
        for key in group.selector.index_keys():
            self._groups.setdefault(key, {})[group] = None
            if key[0] == "member":
                self._paths[key[1]] += 1
        self._types.update(group.selector.types)

    def remove(self, group: G) -> None:
        """Takes back what `add` did. Raises KeyError for a group that was not added."""
        for key in group.selector.index_keys():
            del self._groups[key][group]
            if not self._groups[key]:
                del self._groups[key]
            if key[0] == "member":
                self._paths[key[1]] -= 1
                if not self._paths[key[1]]:
                    del self._paths[key[1]]
        for entity_type in group.selector.types:
            self._types[entity_type] -= 1
            if not self._types[entity_type]:
                del self._types[entity_type]

    def candidates(self, event: Event) -> dict[G, None]:
        """The groups that `event` may match, as they are now."""
        found: dict[G, None] = {}
        for key in event_keys(event, self._paths):
            found.update(self._groups.get(key, {}))
        return found

    def wants(self, entity_type: str) -> bool:
        """Whether a group could receive events of that type."""
        return self._types[entity_type] > 0 or self._types[None] > 0
