"""Debounced refresh hints: many events of an entity become one "refetch this". Pure: time comes in.

Trailing debounce with a longest wait: a hint leaves when its entity has been quiet for the debounce, or when
its first event is as old as the longest wait. All times are those at which entries came into the history
(monotonic seconds).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.events import ORIGIN, Position

MIN_DELAY_MS = 50
MAX_DELAY_MS = 60_000

_Entity = tuple[str, str | None]


class HintTiming(NamedTuple):
    """The delays of one subscriber's hints, in milliseconds."""

    debounce_ms: int
    max_wait_ms: int

    @classmethod
    def clamped(cls, debounce_ms: int, max_wait_ms: int) -> "HintTiming":
        """Both within 50 … 60000, as the contract says."""
        return cls(*(max(MIN_DELAY_MS, min(MAX_DELAY_MS, delay)) for delay in (debounce_ms, max_wait_ms)))


@dataclass(frozen=True, slots=True)
class Refresh:
    """A hint that is due. `entity_id` is None where it is for the whole type.

    `first_number` is the first entry that it is for, which the log holds right after `after`; `deadline` is
    when it was due. From these follows where a reader that lacks it must resume.
    """

    entity_type: str
    entity_id: str | None
    event_types: tuple[str, ...]
    count: int
    first_number: int
    deadline: float
    after: Position = ORIGIN


@dataclass(slots=True)
class _Pending:
    first_number: int
    first_at: float
    last_at: float
    count: int
    event_types: dict[str, None]
    after: Position

    @classmethod
    def joined(cls, parts: Sequence["_Pending"]) -> "_Pending":
        """What is pending where one hint stands for all of `parts`."""
        return cls(
            first_number=min(part.first_number for part in parts),
            first_at=min(part.first_at for part in parts),
            last_at=max(part.last_at for part in parts),
            count=sum(part.count for part in parts),
            event_types={event_type: None for part in parts for event_type in part.event_types},
            after=min(part.after for part in parts),
        )

    def copy(self) -> "_Pending":
        """The same, which is counted on by itself."""
        return _Pending(
            self.first_number, self.first_at, self.last_at, self.count, dict(self.event_types), self.after
        )


class Debouncer:
    """Collects the events of a group and gives the hints that are due.

    `fan_in` is how many entities of one type a window may name; one more, and the type gets one hint in
    place of theirs. That bounds what is pending.
    """

    def __init__(self, timing: HintTiming, fan_in: int) -> None:
        self._timing = timing
        self._debounce = timing.debounce_ms / 1000
        self._max_wait = timing.max_wait_ms / 1000
        self._fan_in = fan_in
        self._pending: dict[_Entity, _Pending] = {}
        self._named: dict[str, int] = {}

    def observe(
        self,
        entity_type: str,
        entity_id: str,
        event_type: str,
        number: int,
        now: float,
        after: Position = ORIGIN,
    ) -> None:
        """Counts one event, the history's entry `number`, right after `after`. Numbers come in order."""
        entity: _Entity = (entity_type, None)
        pending = self._pending.get(entity)
        if pending is None:
            entity = (entity_type, entity_id)
            pending = self._pending.get(entity)
        if pending is None:
            if self._named.get(entity_type, 0) >= self._fan_in:
                pending = self._merge(entity_type)
            else:
                pending = _Pending(number, now, now, 0, {}, after)
                self._pending[entity] = pending
                self._named[entity_type] = self._named.get(entity_type, 0) + 1
        pending.last_at = now
        pending.count += 1
        pending.event_types[event_type] = None

    def _merge(self, entity_type: str) -> _Pending:
        """Puts one hint for the type in the place of those for its entities."""
        entities = [entity for entity in self._pending if entity[0] == entity_type]
        whole = _Pending.joined([self._pending.pop(entity) for entity in entities])
        self._pending[entity_type, None] = whole
        return whole

    def copy(self) -> "Debouncer":
        """Another one with the same hints pending."""
        other = Debouncer(self._timing, self._fan_in)
        other._pending = {entity: pending.copy() for entity, pending in self._pending.items()}
        other._named = dict(self._named)
        return other

    def due(self, now: float) -> list[Refresh]:
        """The hints whose time has come, the oldest first; they are no longer pending."""
        return self._take_those([e for e, pending in self._pending.items() if self._deadline(pending) <= now])

    def take_all(self) -> list[Refresh]:
        """Every pending hint, due or not, the oldest first."""
        return self._take_those(list(self._pending))

    def _take_those(self, entities: list[_Entity]) -> list[Refresh]:
        return sorted(map(self._take, entities), key=lambda refresh: refresh.first_number)

    def _take(self, entity: _Entity) -> Refresh:
        pending = self._pending.pop(entity)
        entity_type, entity_id = entity
        if entity_id is None:
            del self._named[entity_type]
        else:
            self._named[entity_type] -= 1
            if not self._named[entity_type]:
                del self._named[entity_type]
        return Refresh(
            entity_type,
            entity_id,
            tuple(pending.event_types),
            pending.count,
            pending.first_number,
            self._deadline(pending),
            pending.after,
        )

    def _deadline(self, pending: _Pending) -> float:
        return min(pending.last_at + self._debounce, pending.first_at + self._max_wait)

    def next_deadline(self) -> float | None:
        """When `due` has something next, or None where nothing is pending."""
        return min((self._deadline(pending) for pending in self._pending.values()), default=None)

    def oldest_number(self) -> int | None:
        """The first entry that no hint has been given for, or None where nothing is pending."""
        return min((pending.first_number for pending in self._pending.values()), default=None)

    def oldest_after(self) -> Position | None:
        """The position right before that entry: whoever resumes from there misses no hint."""
        return min((pending.after for pending in self._pending.values()), default=None)
