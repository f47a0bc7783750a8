"""What was used of late, in bounded memory and at the cost of a dictionary."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Remembers values by keys: at least those of the last half of its room, at most its room.

    A value takes room 1, or what `weight` says; one that is larger than half of the room is not kept. There
    are two generations: once the young one is half of the room it becomes the old one, which is dropped as a
    whole, but for what was used meanwhile. An exact order would cost each look-up several times as much.
    """

    __slots__ = ("_half", "_old", "_size", "_weight", "_young")

    def __init__(self, room: int, weight: Callable[[Value], int] | None = None) -> None:
        self._half = room // 2
        self._weight = weight
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._young) + sum(key not in self._young for key in self._old)

    def get(self, key: Key) -> Value | None:
        """The value of the key; None where it is not remembered."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> Value:
        """Remembers the value, in place of what the key had, and gives it."""
        weight = self._weight_of(value)
        replaced = self._young.pop(key, None)
        if replaced is not None:
            self._size -= self._weight_of(replaced)
        if weight > self._half:
            self._old.pop(key, None)
            return value
        self._size += weight
        if self._size > self._half:
            self._old, self._young, self._size = self._young, {}, weight
        self._young[key] = value
        return value

    def _weight_of(self, value: Value) -> int:
        return 1 if self._weight is None else self._weight(value)

    def clear(self) -> None:
        """Forgets everything."""
        self._young, self._old, self._size = {}, {}, 0
