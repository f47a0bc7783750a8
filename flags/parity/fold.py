"""What push has sent, folded into the state of each entity. Pure: time comes in, in monotonic seconds.

The fold does what a plain client does: it applies every event in the order in which it comes. It starts in
the middle of a history, so an entity that no event has named yet is unknown, until a polled answer gives it
its first state. What is memorised beyond the current state is what a comparison needs to tell lag from error:
the states of the last few settle windows, and digests of the last events.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import orjson

from flags.parity.canonical import ComparisonRules, canonical, contradicts

Position = tuple[int, ...]
"""A place in the log; positions of one log compare as tuples."""

Fault = Literal["duplicate", "reordered"]

ABSENT = b""
"""The state of an entity that is known not to be there."""

RETENTION = 4
"""For how many settle windows a superseded state and a deleted entity are remembered: a polled answer may be
three windows old when it is compared (comparison.py), and show what push said one window before."""

_MAX_VERSIONS = 32
_MAX_APPLIED = 8
_MAX_HALVINGS = 32
_ENTITY_BYTES = 400
_VERSION_BYTES = 120
_APPLIED_BYTES = 140


@dataclass(frozen=True, slots=True)
class PushedEvent:
    """One event about an entity, as the log gives it; `data` and `previous` are plain dicts."""

    position: Position
    event_type: str
    entity_id: str
    action: str
    data: Mapping[str, Any] | None = None
    previous: Mapping[str, Any] | None = None


class Version(NamedTuple):
    """A state that push gave and later replaced."""

    state: bytes
    superseded_at: float


class Applied(NamedTuple):
    """One event that was applied: digests of the event and of the state after it."""

    event: int
    state: int


@dataclass(slots=True)
class KnownEntity:
    """What is known of one entity.

    `state` is compact JSON, ABSENT, or None where it is not known. `from_push` says that an event gave it,
    not a polled answer. `touched` is set by each event, and cleared by the comparison that has taken it into
    account; `fault` is what an event since then gave away. `polled` is the digest of the polled item that
    was last found to agree, or None.
    """

    state: bytes | None
    changed_at: float
    from_push: bool
    touched: bool = False
    fault: Fault | None = None
    polled: int | None = None
    expected: Mapping[str, Any] | None = None
    versions: tuple[Version, ...] = ()
    applied: tuple[Applied, ...] = ()

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        versions = sum(len(version.state) + _VERSION_BYTES for version in self.versions)
        return _ENTITY_BYTES + len(self.state or b"") + versions + _APPLIED_BYTES * len(self.applied)


class Fold:
    """The pushed state of one kind of entity: from `now` on, with the events after `position`.

    `settle_seconds` is how long push and poll may take to agree. With `merge` an update's `data` holds only
    the members that changed, and is laid over the known state (RFC 7396 without its nulls, top level only);
    else it is the whole new state. A `signal` says nothing about state.

    Memory: `size` says roughly how many bytes it takes; the owner calls `halving` when that is too much.
    """

    def __init__(
        self,
        rules: ComparisonRules,
        settle_seconds: float,
        position: Position,
        now: float,
        *,
        merge: bool = False,
    ) -> None:
        self._rules = rules
        self._settle = settle_seconds
        self._merge = merge
        self._halvings = 0
        self.started_at = now
        self.position = position
        self.based = False
        self.entities: dict[str, KnownEntity] = {}
        self.size = 0
        self.broken_chains = 0

    def tracks(self, key: str) -> bool:
        """Whether the entity is among those that the memory is spent on."""
        return not self._halvings or _sample_bits(key) >> (64 - self._halvings) == 0

    @property
    def share(self) -> float:
        """The share of entities that is tracked: 1.0, 0.5, 0.25 …"""
        return 2.0**-self._halvings

    def state_of(self, key: str) -> bytes | None:
        """Compact JSON, ABSENT, or None where it is not known."""
        entity = self.entities.get(key)
        if entity is not None:
            return entity.state
        return ABSENT if self.based else None

    def advance(self, position: Position) -> None:
        """Says that everything up to `position` has been handed in: events in between were of no concern."""
        self.position = max(self.position, position)

    def apply(self, event: PushedEvent, now: float) -> KnownEntity | None:
        """Takes the next event; gives the entity, or None where the event changes nothing here.

        Raises TypeError where the event's data can't be written as JSON.
        """
        late = event.position <= self.position
        self.advance(event.position)
        if event.action == "signal" or not self.tracks(event.entity_id):
            return None
        before = self.state_of(event.entity_id)
        after, digest = self._next_state(before, event), _event_digest(event)
        entity = self.entities.get(event.entity_id)
        if entity is None:
            entity = self.entities[event.entity_id] = KnownEntity(before, now, from_push=False)
        else:
            self.size -= entity.size
        entity.fault = self._fault(entity, event, after, digest, late=late) or entity.fault
        if entity.state is not None and entity.state != after:
            entity.versions = (*entity.versions, Version(entity.state, now))[-_MAX_VERSIONS:]
        entity.applied = (*entity.applied, Applied(digest, _state_digest(after)))[-_MAX_APPLIED:]
        entity.state, entity.changed_at, entity.polled = after, now, None
        entity.from_push = entity.touched = True
        self.size += entity.size
        return entity

    def adopt(self, key: str, state: bytes, now: float) -> None:
        """Takes the state of an unknown entity from a polled answer."""
        before = self.entities.get(key)
        if before is not None:
            self.size -= before.size
        entity = self.entities[key] = KnownEntity(state, now, from_push=False)
        self.size += entity.size

    def forgetting_old(self, now: float) -> Iterator[None]:
        """Drops superseded states, and entities long deleted, that no comparison can ask for any more.

        In steps, one an entity; no event is applied between them.
        """
        horizon = now - RETENTION * self._settle
        gone = []
        for key, entity in self.entities.items():
            if entity.versions and entity.versions[0].superseded_at < horizon:
                self.size -= entity.size
                kept = [version for version in entity.versions if version.superseded_at >= horizon]
                entity.versions = tuple(kept)
                self.size += entity.size
            if entity.state == ABSENT and not entity.touched and self.based and entity.changed_at < horizon:
                gone.append(key)
            yield
        for key in gone:
            self.size -= self.entities.pop(key).size

    def halving(self) -> Generator[None, None, bool]:
        """Drops about half of the entities; False where hardly any id is left to drop.

        In steps, one an entity; no event is applied between them. Which ones, a hash of their ids decides,
        once and for all: what is left is an even sample that stays the same (adaptive sampling: Flajolet,
        "On Adaptive Sampling", Computing 43, 1990).
        """
        if self._halvings == _MAX_HALVINGS:
            return False
        self._halvings += 1
        for key in list(self.entities):
            if not self.tracks(key):
                self.size -= self.entities.pop(key).size
            yield
        return True

    def ending(self) -> Iterator[None]:
        """Drops all entities, in steps, one an entity: the fold is not to be used any more."""
        while self.entities:
            self.entities.popitem()
            yield

    def blame(self, key: str, polled: bytes) -> Fault | None:
        """What made a wrong state wrong, where the order of events did, given what polling shows.

        The last event repeats an earlier one: a duplicate. Push had told what polling shows, and then told
        something else: reordered. A lost event that would have led back to an earlier state looks the same.
        """
        entity = self.entities.get(key)
        if entity is None or not entity.applied:
            return None
        if entity.fault is not None:
            return entity.fault
        last = entity.applied[-1]
        earlier = entity.applied[:-1]
        if any(one.event == last.event for one in earlier):
            return "duplicate"
        shown = _state_digest(polled)
        return "reordered" if any(one.state == shown for one in earlier) else None

    def _next_state(self, before: bytes | None, event: PushedEvent) -> bytes | None:
        if event.action == "delete":
            return ABSENT
        if event.data is None:
            return None
        if not self._merge or event.action != "update" or before == ABSENT:
            return canonical(event.data, self._rules)
        if before is None:
            return None
        members: dict[str, Any] = orjson.loads(before)
        return canonical(members | dict(event.data), self._rules)

    def _fault(
        self, entity: KnownEntity, event: PushedEvent, after: bytes | None, digest: int, *, late: bool
    ) -> Fault | None:
        """What the event gives away about the order of events, before it is applied.

        The first event after a polled state is not judged: the answer may have been ahead of it or behind.
        """
        repeated = any(one.event == digest for one in entity.applied)
        if late:
            return "duplicate" if repeated else "reordered"
        before = entity.state
        if not entity.from_push or before is None or after is None:
            return None
        if before == after:
            again = _applied_since_last_change(entity, digest) and not _changes_nothing(event)
            return "duplicate" if again else None
        if event.action == "insert" and before != ABSENT and repeated:
            return "duplicate"
        if not event.previous or (before != ABSENT and not contradicts(event.previous, before, self._rules)):
            entity.expected = None
            return None
        if repeated:
            return "duplicate"
        return self._broken(entity, event.previous, after)

    def _broken(self, entity: KnownEntity, previous: Mapping[str, Any], after: bytes) -> Fault | None:
        """An event that starts from a state that push had not told: one is lost, or two have changed places.

        They have changed places where this event leads to the state that the one before it started from.
        """
        self.broken_chains += 1
        expected, entity.expected = entity.expected, previous
        if expected is None or after == ABSENT or contradicts(expected, after, self._rules):
            return None
        return "reordered"


def _applied_since_last_change(entity: KnownEntity, event: int) -> bool:
    """Whether this very event was applied since the entity came to its current state."""
    for one in reversed(entity.applied):
        if one.state != entity.applied[-1].state:
            return False
        if one.event == event:
            return True
    return False


def _changes_nothing(event: PushedEvent) -> bool:
    """Whether the event itself says that nothing changed: a write that left everything as it was."""
    if event.previous is None or event.data is None:
        return False
    return canonical(event.previous) == canonical(event.data)


def _event_digest(event: PushedEvent) -> int:
    """64 bits that stand for what the event says, whenever and wherever it was said; of this process only."""
    said = [event.event_type, event.action, event.data, event.previous]
    return hash(orjson.dumps(said, option=orjson.OPT_SORT_KEYS))


def _state_digest(state: bytes | None) -> int:
    return hash(state)


def _sample_bits(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
