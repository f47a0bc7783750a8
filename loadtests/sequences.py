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
    """Where one reader stands on every lane. It starts at whichever number of a lane it sees first."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._missing: set[tuple[str, int]] = set()

    def take(self, lane: str, number: int) -> Finding | None:
        """Notes an event; says what is wrong with it, where anything is."""
        due = self._next.get(lane, number)
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
        """Forgets everything: the gateway has said (`reset`) that there is a gap."""
        self._next.clear()
        self._missing.clear()

    def owed(self, published: Mapping[str, int]) -> int:
        """How many events at the ends of its lanes it has not had, `published` being how many each has."""
        return sum(max(0, published.get(lane, 0) - due) for lane, due in self._next.items())
