"""A bounded run of entries in order: by count, by age and by bytes."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from gateway.core.events import ORIGIN, Position


class RingEntry(Protocol):
    """What a ring can hold: `at` is monotonic seconds, `size` is bytes."""

    @property
    def position(self) -> Position: ...

    @property
    def size(self) -> int: ...

    @property
    def at(self) -> float: ...


E = TypeVar("E", bound=RingEntry)

FREED_AT_ONCE = 512
"""How many entries a trim drops, beside as many as came since the last one: a millisecond or two."""

_FREED: Any = None
"""What stands in the list for an entry that was dropped; nothing reads it."""


class Ring(Generic[E]):
    """Entries numbered 1, 2, 3, … as they come; the oldest go when a bound is passed.

    It holds the entries with `floor < number <= head`: `head` is the newest, `floor` the newest that was
    trimmed, each 0 before there is one. A reader is a number: all up to it has been read.
    """

    def __init__(
        self, *, max_entries: int, max_age_seconds: float, max_bytes: int, freed_at_once: int = FREED_AT_ONCE
    ) -> None:
        self._max_entries = max_entries
        self._max_age_seconds = max_age_seconds
        self._max_bytes = max_bytes
        self._freed_at_once = freed_at_once
        self._entries: list[E] = []
        self._added = 0  # how many came since the last trim
        self._base = 0  # the number before the first of the list, trimmed or not
        self.head = 0
        self.floor = 0
        self.size_bytes = 0
        self.floor_position = ORIGIN
        self.head_position = ORIGIN

    def start_at(self, position: Position) -> None:
        """Says that everything up to `position` is not held. Only before the first entry."""
        self.floor_position = self.head_position = position

    def start_after(self, number: int) -> None:
        """Renumbers what it holds, so that the floor comes after `number`. Only where nobody reads yet."""
        self._base += number + 1
        self.floor += number + 1
        self.head += number + 1

    def add(self, entry: E) -> int:
        """Adds the newest entry and gives its number.

        Raises ValueError where its position does not come after the last.
        """
        if entry.position <= self.head_position:
            raise ValueError(f"position {entry.position} does not come after {self.head_position}")
        self._entries.append(entry)
        self._added += 1
        self.head += 1
        self.head_position = entry.position
        self.size_bytes += entry.size
        return self.head

    def emptying(self) -> Iterator[None]:
        """Drops all entries, in steps of a millisecond or two. Nobody may read it any more."""
        while self._entries:
            yield
            del self._entries[-self._freed_at_once :]

    def entries_after(self, number: int, limit: int) -> list[E]:
        """The entries after `number`, at most `limit`. `number` must not be below the floor."""
        start = number - self._base
        return self._entries[start : start + limit]

    def latest(self, count: int) -> list[E]:
        """The newest `count` entries, or all where that is fewer; oldest first."""
        return self.entries_after(max(self.floor, self.head - count), count)

    def number_at(self, position: Position) -> int | None:
        """The number of the entry at `position`, or of the floor; None where the ring holds neither there."""
        if position == self.floor_position:
            return self.floor
        gone = self.floor - self._base
        index = bisect_left(self._entries, position, lo=gone, key=lambda entry: entry.position)
        is_held = index < len(self._entries) and self._entries[index].position == position
        return self._base + index + 1 if is_held else None

    def number_at_time(self, at: float) -> int:
        """The number of the last entry that came at or before `at`, or the floor where none did."""
        gone = self.floor - self._base
        return self._base + bisect_right(self._entries, at, lo=gone, key=lambda entry: entry.at)

    def number_before_time(self, at: float) -> int:
        """The number of the last entry that came before `at`, or the floor where none did."""
        gone = self.floor - self._base
        return self._base + bisect_left(self._entries, at, lo=gone, key=lambda entry: entry.at)

    def position(self, number: int) -> Position | None:
        """The position of a number up to the head; None below the floor."""
        if number <= self.floor:
            return self.floor_position if number == self.floor else None
        return self._entries[number - self._base - 1].position

    def trim(self, now: float, keep_after: int) -> None:
        """Drops the oldest entries past a bound, but none after `keep_after`.

        Of many at once, such as all that grew too old together, it drops some in each of several calls:
        `freed_at_once` in each, beside as many as were appended since the last one. So there are never more
        entries too many than there were after the call before. Where small ones make room for large ones the
        ring has an eighth more than `max_bytes` at most: beyond that it drops as many as it takes.
        """
        oldest_kept = now - self._max_age_seconds
        most_bytes = self._max_bytes + self._max_bytes // 8
        last = keep_after - self._base
        gone = self.floor - self._base
        enough = gone + self._added + self._freed_at_once
        self._added = 0
        while gone < last and (gone < enough or self.size_bytes > most_bytes):
            entry = self._entries[gone]
            too_many = len(self._entries) - gone > self._max_entries
            if not too_many and self.size_bytes <= self._max_bytes and entry.at >= oldest_kept:
                break
            self.size_bytes -= entry.size
            self.floor_position = entry.position
            # Its place stays until the list is cut; it must not, or the ring takes twice what the bounds say.
            self._entries[gone] = _FREED
            gone += 1
        self.floor = self._base + gone
        # Cutting the front of a list moves the rest: done only when at least half of it is gone.
        if gone > 64 and gone * 2 > len(self._entries):
            del self._entries[:gone]
            self._base = self.floor
