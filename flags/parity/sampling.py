"""Which polled answers are compared, and what happens to those that come too fast. Pure."""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class EveryNth:
    """One in so many, counted and not drawn by lot: every run of `ratio` answers gives exactly one."""

    def __init__(self) -> None:
        self._left = 0

    def take(self, ratio: int) -> bool:
        """Counts one answer; says if it is to be taken. The first is, then every `ratio`-th after it.

        A lower ratio than before takes effect at once. Raises ValueError below 1.
        """
        if ratio < 1:
            raise ValueError("the ratio must be 1 or more")
        self._left = min(self._left, ratio) - 1
        if self._left > 0:
            return False
        self._left = ratio
        return True


class BoundedQueue(Generic[Item]):
    """First in, first out, of at most `most_items` and `most_bytes`. What does not fit makes the oldest go.

    The oldest, because a comparison with an old answer is worth less than one with a new. An item that is
    larger than the whole queue is not taken in. `dropped` counts both.
    """

    def __init__(self, most_items: int, most_bytes: int) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self.bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, size: int) -> None:
        """Adds an item of `size` bytes."""
        if size > self._most_bytes:
            self.dropped += 1
            return
        self._items.append((item, size))
        self.bytes += size
        while len(self._items) > self._most_items or self.bytes > self._most_bytes:
            self.take()
            self.dropped += 1

    def take(self) -> Item | None:
        """The oldest item, which leaves the queue; None where there is none."""
        if not self._items:
            return None
        item, size = self._items.popleft()
        self.bytes -= size
        return item
