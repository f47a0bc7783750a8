"""The items of an upstream's answer, by key, in little more memory than the answer itself. No I/O."""

from array import array
from collections.abc import ItemsView, Iterator, Mapping

import orjson

from adapters.upstream.failures import BadAnswer
from adapters.upstream.json_list import items_in
from gateway.core.events import has_control_characters
from gateway.ports.legacy_route import LegacyRoute

_MAX_ID_CHARACTERS = 256
_SHALLOW = 250
"""What is not deeper can be written by orjson, which stops at 254 levels, as a member of an event too."""
_LEAST_SLOTS = 8
_BETWEEN_ITEMS = b", \t\n\r"
_HASH_BITS = 0xFFFF_FFFF


class Items(Mapping[str, bytes]):
    """An answer's items in its order: an item's key as text, and the item as it stands in the answer.

    Of each item it keeps where it begins and 32 bits of its key, 14 to 20 bytes, and decodes it when asked.
    An item's number is its place in the answer. There are none before `reading` has come to its end.
    """

    def __init__(self, body: bytes, route: LegacyRoute) -> None:
        self._body = body
        self._pointer = route.items
        self._member = route.keys[0]
        # Of each item, and behind the last one where that ends.
        self._starts = array("I")
        self.hashes = array("I")
        """Of each item's key, by number."""
        self._slots = array("I")

    def __len__(self) -> int:
        return len(self.hashes)

    def __iter__(self) -> Iterator[str]:
        return map(self.key, range(len(self)))

    def __getitem__(self, key: str) -> bytes:
        for number in self.numbers(hash(key) & _HASH_BITS):
            if self.key(number) == key:
                return self.raw(number)
        raise KeyError(key)

    def items(self) -> ItemsView[str, bytes]:
        """Every key with its item, none of them looked up."""
        return _InOrder(self)

    @property
    def size(self) -> int:
        """The bytes that it takes, those of the answer among them."""
        numbers = len(self._starts) + len(self.hashes) + len(self._slots)
        return len(self._body) + numbers * self._slots.itemsize

    def raw(self, number: int) -> bytes:
        """An item as it stands in the answer."""
        return self._body[self._starts[number] : self._starts[number + 1]].rstrip(_BETWEEN_ITEMS)

    def key(self, number: int) -> str:
        """An item's key."""
        return str(orjson.loads(self.raw(number))[self._member])

    def numbers(self, hashed: int) -> Iterator[int]:
        """The items whose keys have that hash: one, as good as always, or none."""
        mask = len(self._slots) - 1
        slot = hashed & mask
        while taken := self._slots[slot]:
            if self.hashes[taken - 1] == hashed:
                yield taken - 1
            slot = (slot + 1) & mask

    def reading(self) -> Iterator[None]:
        """Reads the answer, in steps of some microseconds (an item of a megabyte: 10 ms).

        Raises BadAnswer: `not_json`, `no_list` (nothing, or no list, at the pointer), `not_an_object`,
        `no_key`, `bad_key` (neither text nor integer, or not an entity id: 1 to 256 characters, no control
        characters), `duplicate_key` (also 1 beside "1": both are the entity 1), `too_deep` (beyond 254
        levels).
        """
        body, hashes, end = self._body, self.hashes, 0
        for span in items_in(body, self._pointer):
            if span is not None:
                start, end, depth = span
                key = _key_in(body[start:end], len(hashes), depth, self._member)
                self._starts.append(start)
                hashes.append(hash(key) & _HASH_BITS)
            yield
        self._starts.append(end)
        yield from self._indexing()

    def _indexing(self) -> Iterator[None]:
        """Makes items to be found by their keys. Raises BadAnswer where two have the same."""
        hashes = self.hashes
        count = max(_LEAST_SLOTS, 3 * len(hashes) // 2)
        self._slots = array("I", bytes(4 << count.bit_length()))
        mask = len(self._slots) - 1
        for number, hashed in enumerate(hashes):
            slot = hashed & mask
            while taken := self._slots[slot]:
                if hashes[taken - 1] == hashed and self.key(taken - 1) == self.key(number):
                    detail = f"Item {number} of the upstream's answer has the key of another."
                    raise BadAnswer("duplicate_key", detail)
                slot = (slot + 1) & mask
            self._slots[slot] = number + 1
            yield


class _InOrder(ItemsView[str, bytes]):
    _mapping: Items

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        items = self._mapping
        return ((items.key(number), items.raw(number)) for number in range(len(items)))


def _key_in(raw: bytes, index: int, depth: int, member: str) -> str:
    try:
        item = orjson.loads(raw)
        if depth > _SHALLOW:
            orjson.dumps(item)
    except orjson.JSONDecodeError:
        raise BadAnswer("not_json", f"Item {index} of the upstream's answer is not JSON.") from None
    except TypeError:
        # orjson stops at 254 levels when it writes, although it reads deeper ones.
        detail = f"Item {index} of the upstream's answer is nested too deeply."
        raise BadAnswer("too_deep", detail) from None
    value = item.get(member)
    if value is None:
        raise BadAnswer("no_key", f"Item {index} of the upstream's answer has no {member}.")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadAnswer("bad_key", f"Item {index} of the upstream's answer: {member} is no text or integer.")
    key = str(value)
    if not 1 <= len(key) <= _MAX_ID_CHARACTERS or has_control_characters(key):
        raise BadAnswer("bad_key", f"Item {index} of the upstream's answer: {member} can't be an entity id.")
    return key
