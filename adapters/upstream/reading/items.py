"""The items of an upstream's answer, by key, in little more memory than the answer itself. No I/O."""

from array import array
from bisect import bisect
from collections import Counter
from collections.abc import Collection, ItemsView, Iterable, Iterator
from itertools import chain, compress, pairwise
from typing import Any

import orjson

from adapters.upstream.failures import BadAnswer
from adapters.upstream.reading.item_keys import BadItem, ItemKeys
from adapters.upstream.reading.item_text import decoded, decoded_leniently
from adapters.upstream.reading.json_list import Span, items_in, name_at, texts_in
from gateway.core.json_pointer import ABSENT, found_at, member_path, path_of
from gateway.ports.legacy_route import Empty, LegacyRoute
from gateway.ports.upstreams import ListedItems

GOOD, BAD, NONE = 0, 1, 2
"""What stands at a number: an item; one whose key is known, and which can't be compared; nothing at all, for
it has no key, is marked as deleted, stands in another body too, or is where a body ends."""

_LEAST_SLOTS = 8
_BETWEEN_ITEMS = b", \t\n\r"
_HASH_BITS = 0xFFFF_FFFF
_MOST_NAMED = 5
_WORDS = {
    "not_an_object": "is not an object",
    "unreadable": "holds text that is no Unicode, or a number beyond all bounds",
    "too_deep": "is nested too deeply",
    "no_key": "has no key",
    "bad_key": "has a key that can't be an entity id",
}
_IS_ITEM = bytes([1, *bytes(255)])


class Items(ListedItems):
    """An answer's items in its order: an item's key as text, and the item as it stands in the answer.

    `text` is the answer, or a JSON text sequence of several (`json_list.sequence_of`), or what the route's
    functions made of them; with `is_empty`, an answer whose status says that there are no items.

    Of each item it keeps where it begins, 32 bits of its key and what it is, 15 to 21 bytes, and decodes it
    when asked. An item's number is its place in the answer; not at every number there is one (`states`).
    There are none before `reading` has come to its end. `bad` counts, by kind, the items that can't be
    compared; `bad_ones` has the place and the kind of the first few.
    """

    def __init__(self, text: bytes, route: LegacyRoute, *, is_empty: bool = False) -> None:
        self._text = text
        self._is_empty = is_empty
        self._route = route
        # What functions made stands by itself, and is null where there is no entity.
        self._path = () if route.functions else path_of(route.items)
        self._empty: Collection[Empty] = ("null",) if route.functions else route.empty
        self._keys = ItemKeys(route)
        self._deleted = None if route.deleted is None else member_path(route.deleted)
        # Of each item, and behind the last one where that ends.
        self._starts = array("I")
        self.hashes = array("I")
        """Of each item's key, by number."""
        self.states = bytearray()
        """GOOD, BAD or NONE, by number."""
        self.bad: Counter[str] = Counter()
        self.bad_ones: list[tuple[int, str]] = []
        self._slots = array("I")
        self._count = 0
        # The numbers at which the bodies after the first one begin.
        self._bodies: list[int] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return map(self.key, self._numbers())

    def __getitem__(self, key: str) -> bytes:
        for number in self._numbers_of(key):
            return self.raw(number)
        raise KeyError(key)

    def is_unread(self, key: str) -> bool:
        """Whether an item with that key can't be compared."""
        numbers = self.numbers(hash(key) & _HASH_BITS)
        return any(self.states[number] == BAD and self.key(number) == key for number in numbers)

    def items(self) -> ItemsView[str, bytes]:
        """Every key with its item, none of them looked up."""
        return _InOrder(self)

    @property
    def size(self) -> int:
        """The bytes that it takes, those of the answer among them."""
        numbers = len(self._starts) + len(self.hashes) + len(self._slots)
        return len(self._text) + numbers * self._slots.itemsize + len(self.states)

    def entry(self, number: int) -> bytes:
        """An item as it stands in the answer, in a map with its name: the same bytes are the same item."""
        return self._text[self._starts[number] : self._starts[number + 1]].rstrip(_BETWEEN_ITEMS)

    def raw(self, number: int) -> bytes:
        """An item as it stands in the answer."""
        entry = self.entry(number)
        if self._route.shape != "map":
            return entry
        _, begins = name_at(entry, 0)
        return entry[begins:].lstrip(_BETWEEN_ITEMS)

    def item(self, number: int) -> dict[str, Any]:
        """An item as events have it: with the members of the route, which win over its own."""
        item: dict[str, Any] = orjson.loads(self.raw(number))
        return {**item, **self._route.members} if self._route.members else item

    def data(self, keys: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Every key, or each of `keys` that there is, with the JSON text of its item as events have it."""
        for number in self._numbers() if keys is None else chain.from_iterable(map(self._numbers_of, keys)):
            key, item = self.keyed(number)
            yield key, orjson.dumps(item) if self._route.members else self.raw(number)

    def keyed(self, number: int) -> tuple[str, dict[str, Any]]:
        """An item's key, and the item as events have it."""
        item = self.item(number)
        return self._keys.of(item, self._name(self._starts[number])), item

    def key(self, number: int) -> str:
        """An item's key, be it one that can't be compared."""
        if self.states[number] == GOOD:
            return self.keyed(number)[0]
        item = {**decoded_leniently(self.raw(number)), **self._route.members}
        return self._keys.of(item, self._name(self._starts[number]))

    def numbers(self, hashed: int) -> Iterator[int]:
        """The items whose keys have that hash, bad ones too: one, as good as always, or none."""
        mask = len(self._slots) - 1
        slot = hashed & mask
        while taken := self._slots[slot]:
            if self.hashes[taken - 1] == hashed and self.states[taken - 1] != NONE:
                yield taken - 1
            slot = (slot + 1) & mask

    def reading(self) -> Iterator[None]:
        """Reads the answer, in steps of some microseconds (an item of a megabyte: 10 ms).

        Raises BadAnswer: `not_json`, `no_list` (nothing, or nothing of the route's shape, at the pointer),
        `duplicate_key` (within one body; also 1 beside "1": both are the entity 1). And the kind of the first
        bad item where no item is good: `not_an_object`, `unreadable` or `too_deep` (see `item_text.decoded`),
        `no_key` or `bad_key` (see `ItemKeys.of`).
        """
        ends, index, is_one_good = 0, 0, False
        for body in () if self._is_empty else texts_in(self._text):
            if self.states:
                # The last item of a body ends where it does, and not where the next body has its first.
                self._add(ends)
                self._bodies.append(len(self.states))
            for span in items_in(self._text, body, self._path, self._route.shape, self._empty):
                if span is not None:
                    ends, index = span.ends, index + 1
                    is_one_good |= self._take(span, index - 1)
                yield
        self._starts.append(ends)
        if self.bad_ones and not is_one_good:
            first, kind = self.bad_ones[0]
            raise BadAnswer(
                kind, f"No item of the upstream's answer can be compared: item {first} {_WORDS[kind]}."
            )
        yield from self._indexing()
        self._count = self.states.count(GOOD)

    def _take(self, span: Span, index: int) -> bool:
        """Takes the next item; whether it is none that is bad."""
        item, kind = decoded(self._text[span.begins : span.ends], span.depth)
        if self._deleted is not None and item is not None and _is_set(found_at(item, self._deleted)):
            self._add(span.name)
            return True
        key = None
        if item is not None:
            try:
                whole = {**item, **self._route.members} if self._route.members else item
                key = self._keys.of(whole, self._name(span.name))
            except BadItem as error:
                kind = kind or error.kind
        if kind is not None:
            self.bad[kind] += 1
            if len(self.bad_ones) < _MOST_NAMED:
                self.bad_ones.append((index, kind))
        if key is None:
            self._add(span.name)
        else:
            self._add(span.name, hash(key) & _HASH_BITS, GOOD if kind is None else BAD)
        return kind is None

    def _add(self, starts: int, hashed: int = 0, state: int = NONE) -> None:
        self._starts.append(starts)
        self.hashes.append(hashed)
        self.states.append(state)

    def _name(self, position: int) -> str | None:
        """The name of the member that begins there, in a map. Raises BadItem where it is no Unicode."""
        if self._route.shape != "map":
            return None
        literal, _ = name_at(self._text, position)
        try:
            return str(orjson.loads(literal))
        except orjson.JSONDecodeError:
            raise BadItem("bad_key") from None

    def _indexing(self) -> Iterator[None]:
        """Makes items to be found by their keys. Raises BadAnswer where two of one body have the same.

        Of an item that stands in two bodies the one counts that is indexed later: in a list that moves while
        its pages are asked for, the later page is the newer one; of lists that belong together the one that
        is named first counts.
        """
        hashes, states = self.hashes, self.states
        count = max(_LEAST_SLOTS, 3 * len(hashes) // 2)
        self._slots = array("I", bytes(4 << count.bit_length()))
        mask = len(self._slots) - 1
        bodies = [range(*ends) for ends in pairwise((0, *self._bodies, len(hashes)))]
        for number in chain.from_iterable(reversed(bodies) if self._route.also else bodies):
            if states[number] != NONE:
                hashed = hashes[number]
                slot = hashed & mask
                while taken := self._slots[slot]:
                    if hashes[taken - 1] == hashed and self.key(taken - 1) == self.key(number):
                        self._replace(taken - 1, number)
                        break
                    slot = (slot + 1) & mask
                self._slots[slot] = number + 1
            yield

    def _replace(self, indexed: int, number: int) -> None:
        if bisect(self._bodies, indexed) == bisect(self._bodies, number):
            raise BadAnswer(
                "duplicate_key", f"Item {number} of the upstream's answer has the key of another."
            )
        self.states[indexed] = NONE

    def _numbers_of(self, key: str) -> Iterator[int]:
        """The number of the item with that key; none where there is no such."""
        for number in self.numbers(hash(key) & _HASH_BITS):
            if self.states[number] == GOOD and self.key(number) == key:
                yield number
                return

    def _numbers(self) -> Iterator[int]:
        return compress(range(len(self.states)), self.states.translate(_IS_ITEM))


def _is_set(mark: Any) -> bool:
    """Whether a mark is one: a false that is written as 0 or as an empty text is none either."""
    return mark is not ABSENT and mark not in (None, False, 0, "")


class _InOrder(ItemsView[str, bytes]):
    _mapping: Items

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        items = self._mapping
        return ((items.key(number), items.raw(number)) for number in items._numbers())
