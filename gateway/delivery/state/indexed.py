"""The items of an entity type, and which of them may have what a selection asks for. No I/O."""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from typing import Any

import orjson
from cachetools import LRUCache

from gateway.core.filters import member
from gateway.core.narrowing import ID, Choice, Term
from gateway.ports.state import StateItem

MOST_MEMBERS = 4
"""How many members of a type are indexed at a time: clients name them."""
_ITEM_BYTES = 300
"""What an item takes besides its text and its id: the objects, and its places in all indexes."""

Path = tuple[str, ...]


class MemberIndex:
    """Items by the hash of what stands at a path, 12 to 20 bytes each.

    They are added from the last one to the first. What is no text, number, true or false counts as null.
    """

    def __init__(self, count: int) -> None:
        slots = 1 << count.bit_length()
        self._mask = slots - 1
        # Of a slot its first item's number, and of an item that of the next: plus one each, for 0 is none.
        self._first = array("I", bytes(4 * slots))
        self._next = array("I", bytes(4 * count))
        self._counts = array("I", bytes(4 * slots))

    def add(self, number: int, value: Any) -> None:
        """Files the item of that number, which is below all others'."""
        slot = self._slot(value if isinstance(value, str | int | float) else None)
        self._next[number] = self._first[slot]
        self._first[slot] = number + 1
        self._counts[slot] += 1

    def slots(self, values: Iterable[Any]) -> set[int]:
        """Where items with these values are, and others by chance. JSON's 1 and 1.0 are equal."""
        return set(map(self._slot, values))

    def count(self, slots: Iterable[int]) -> int:
        """How many items there are."""
        return sum(self._counts[slot] for slot in slots)

    def numbers(self, slot: int) -> Iterator[int]:
        """The items in a slot, in their order."""
        after = self._first[slot]
        while after:
            yield after - 1
            after = self._next[after - 1]

    def _slot(self, value: Any) -> int:
        # A number's own hash is the number: ids that are a power of two apart would share few slots.
        return hash((value,)) & self._mask


Indexes = Mapping[Path, MemberIndex]
_Places = set[tuple[Path, int]]


class IndexedItems:
    """Items of one type, in order. `size` is in bytes, with room for MOST_MEMBERS indexes."""

    def __init__(self) -> None:
        self.size = 0
        self._items: list[StateItem] = []
        self._indexes: LRUCache[Path, MemberIndex] = LRUCache(MOST_MEMBERS)

    def __len__(self) -> int:
        return len(self._items)

    def extend(self, items: Sequence[StateItem]) -> None:
        """Takes more items in. There must be no index yet."""
        self._items += items
        self.size += sum(_ITEM_BYTES + len(item.entity_id) + len(item.data) for item in items)

    def known(self, paths: Collection[Path]) -> dict[Path, MemberIndex]:
        """Those of the indexes that are there."""
        return {path: self._indexes[path] for path in paths if path in self._indexes}

    def indexing(self, missing: Collection[Path]) -> Iterator[None]:
        """Makes indexes, at most MOST_MEMBERS, in place of the least used ones. A step for each item."""
        made = {path: MemberIndex(len(self._items)) for path in missing}
        for number in range(len(self._items) - 1, -1, -1):
            entity_id, text = self._items[number]
            data = orjson.loads(text)
            for path, index in made.items():
                index.add(number, entity_id if path == ID else member(data, path))
            yield
        self._indexes.update(made)

    def candidates(self, choices: Iterable[Choice], indexes: Indexes) -> Iterator[StateItem]:
        """All items that a selection with these choices may match, and others, in order.

        They are those of the choice of which there are fewest; all where there is none.
        """
        places = min(
            (_places_of(choice, indexes) for choice in choices),
            key=lambda places: _count(places, indexes),
            default=None,
        )
        if places is None:
            yield from self._items
            return
        last = -1
        # An item may be in several: it may have the value of each of several members.
        for number in merge(*(indexes[path].numbers(slot) for path, slot in places)):
            if number != last:
                yield self._items[number]
            last = number


def indexed_of(choices: Iterable[Choice]) -> tuple[list[Choice], set[Path]]:
    """Those of the choices for which there may be indexes at a time, and what these are to be of."""
    taken, paths = [], set[Path]()
    for choice in choices:
        more = paths.union(term.path for alternative in choice for term in alternative)
        if len(more) <= MOST_MEMBERS:
            taken.append(choice)
            paths = more
    return taken, paths


def _places_of(choice: Choice, indexes: Indexes) -> _Places:
    """Where a row is that has one of the alternatives: of each the one term with the fewest items."""
    return set[tuple[Path, int]]().union(
        *(
            min((_places(term, indexes) for term in terms), key=lambda places: _count(places, indexes))
            for terms in choice
        )
    )


def _places(term: Term, indexes: Indexes) -> _Places:
    return {(term.path, slot) for slot in indexes[term.path].slots(term.values)}


def _count(places: _Places, indexes: Indexes) -> int:
    return sum(indexes[path].count((slot,)) for path, slot in places)
