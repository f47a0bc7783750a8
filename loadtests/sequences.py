"""Whether one reader gets every numbered event once and in order. Pure.

A lane is one publisher's events of one type; it numbers them from 0. The order of one lane's events is known,
that of two lanes is the gateway's to choose.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Finding(NamedTuple):
    """What is wrong with an event. `kind`: gap, duplicate, reordered."""

    kind: str
    detail: str


class Sequences:
    """Where one reader stands on every lane.

    `offered` is how many events of each lane have been sent so far, with those that are under way; it grows.
    Of a lane that is not in it, of another publisher, the first number may be any.
    """

    def __init__(self, offered: Mapping[str, int]) -> None:
        self._offered = offered
        self._owes_from: dict[str, int] | None = None
        self._next: dict[str, int] = {}
        self._missing: set[tuple[str, int]] = set()

    def begin(self) -> None:
        """The reader's view begins: it gets all that is sent from now on, and perhaps what is under way.

        Nothing happens where it has begun.
        """
        if self._owes_from is None:
            self._owes_from = dict(self._offered)

    def take(self, lane: str, number: int) -> Finding | None:
        """Notes an event; says what is wrong with it, where anything is."""
        due = self._next.get(lane)
        if due is None:
            is_free = self._owes_from is None or lane not in self._offered
            due = number if is_free else min(number, self._first_owed(lane))
        self._next[lane] = max(due, number + 1)
        if number == due:
            return None
        if number > due:
            self._missing |= {(lane, skipped) for skipped in range(due, number)}
            return Finding("gap", f"lane {lane}: {number - due} missing before event {number}")
        if (lane, number) in self._missing:
            self._missing.discard((lane, number))
            return Finding("reordered", f"lane {lane}: event {number} came after {due - 1}")
        return Finding("duplicate", f"lane {lane}: event {number} came again, after {due - 1}")

    def restart(self) -> None:
        """Forgets everything and begins anew: the gateway has said (`reset`) that there is a gap."""
        self._next.clear()
        self._missing.clear()
        self._owes_from = None
        self.begin()

    def owed(self, published: Mapping[str, int]) -> int:
        """How many events at the ends of these lanes it has not had, `published` being how many each has.

        None of a reader whose view never began.
        """
        if self._owes_from is None:
            return 0
        return sum(
            max(0, count - self._next.get(lane, self._first_owed(lane))) for lane, count in published.items()
        )

    def _first_owed(self, lane: str) -> int:
        """The first number of a lane that the reader must get."""
        return self._owes_from.get(lane, 0) if self._owes_from is not None else 0
