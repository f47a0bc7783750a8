"""What push has told, folded into the state of each entity. Pure: time comes in, in monotonic seconds.

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
_MAX_TOLD = 8
_MAX_HALVINGS = 32
_ENTRY_BYTES = 400
_VERSION_BYTES = 120
_TOLD_BYTES = 140


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
    """A state that push told and later replaced."""

    state: bytes
    superseded_at: float


class Told(NamedTuple):
    """One event that was applied: digests of the event and of the state after it."""

    event: int
    state: int


@dataclass(slots=True)
class Entry:
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
    told: tuple[Told, ...] = ()

    @property
    def size(self) -> int:
        """Roughly the bytes of memory that it takes."""
        versions = sum(len(version.state) + _VERSION_BYTES for version in self.versions)
        return _ENTRY_BYTES + len(self.state or b"") + versions + _TOLD_BYTES * len(self.told)


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
        self.entries: dict[str, Entry] = {}
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
        entry = self.entries.get(key)
        if entry is not None:
            return entry.state
        return ABSENT if self.based else None

    def advance(self, position: Position) -> None:
        """Says that everything up to `position` has been handed in: events in between were of no concern."""
        self.position = max(self.position, position)

    def apply(self, event: PushedEvent, now: float) -> Entry | None:
        """Takes the next event; gives the entity's entry, or None where the event changes nothing here.

        Raises TypeError where the event's data can't be written as JSON.
        """
        late = event.position <= self.position
        self.advance(event.position)
        if event.action == "signal" or not self.tracks(event.entity_id):
            return None
        before = self.state_of(event.entity_id)
        after, digest = self._next_state(before, event), _event_digest(event)
        entry = self.entries.get(event.entity_id)
        if entry is None:
            entry = self.entries[event.entity_id] = Entry(before, now, from_push=False)
        else:
            self.size -= entry.size
        entry.fault = self._fault(entry, event, after, digest, late=late) or entry.fault
        if entry.state is not None and entry.state != after:
            entry.versions = (*entry.versions, Version(entry.state, now))[-_MAX_VERSIONS:]
        entry.told = (*entry.told, Told(digest, _state_digest(after)))[-_MAX_TOLD:]
        entry.state, entry.changed_at, entry.polled = after, now, None
        entry.from_push = entry.touched = True
        self.size += entry.size
        return entry

    def adopt(self, key: str, state: bytes, now: float) -> None:
        """Takes the state of an unknown entity from a polled answer."""
        before = self.entries.get(key)
        if before is not None:
            self.size -= before.size
        entry = self.entries[key] = Entry(state, now, from_push=False)
        self.size += entry.size

    def forgetting_old(self, now: float) -> Iterator[None]:
        """Drops superseded states, and entities long deleted, that no comparison can ask for any more.

        In steps, one an entity; no event is applied between them.
        """
        horizon = now - RETENTION * self._settle
        gone = []
        for key, entry in self.entries.items():
            if entry.versions and entry.versions[0].superseded_at < horizon:
                self.size -= entry.size
                kept = [version for version in entry.versions if version.superseded_at >= horizon]
                entry.versions = tuple(kept)
                self.size += entry.size
            if entry.state == ABSENT and not entry.touched and self.based and entry.changed_at < horizon:
                gone.append(key)
            yield
        for key in gone:
            self.size -= self.entries.pop(key).size

    def halving(self) -> Generator[None, None, bool]:
        """Gives up about half of the entities; False where hardly any id is left to give up.

        In steps, one an entity; no event is applied between them. Which ones, a hash of their ids decides,
        once and for all: what is left is an even sample that stays the same (adaptive sampling: Flajolet,
        "On Adaptive Sampling", Computing 43, 1990).
        """
        if self._halvings == _MAX_HALVINGS:
            return False
        self._halvings += 1
        for key in list(self.entries):
            if not self.tracks(key):
                self.size -= self.entries.pop(key).size
            yield
        return True

    def ending(self) -> Iterator[None]:
        """Lets go of all entities, in steps, one an entity: the fold is not to be used any more."""
        while self.entries:
            self.entries.popitem()
            yield

    def blame(self, key: str, polled: bytes) -> Fault | None:
        """What made a wrong state wrong, where the order of events did, given what polling shows.

        The last event repeats an earlier one: a duplicate. Push had told what polling shows, and then told
        something else: reordered. A lost event that would have led back to an earlier state looks the same.
        """
        entry = self.entries.get(key)
        if entry is None or not entry.told:
            return None
        if entry.fault is not None:
            return entry.fault
        last = entry.told[-1]
        earlier = entry.told[:-1]
        if any(told.event == last.event for told in earlier):
            return "duplicate"
        shown = _state_digest(polled)
        return "reordered" if any(told.state == shown for told in earlier) else None

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
        self, entry: Entry, event: PushedEvent, after: bytes | None, digest: int, *, late: bool
    ) -> Fault | None:
        """What the event gives away about the order of events, before it is applied.

        The first event after a polled state is not judged: the answer may have been ahead of it or behind.
        """
        repeated = any(told.event == digest for told in entry.told)
        if late:
            return "duplicate" if repeated else "reordered"
        before = entry.state
        if not entry.from_push or before is None or after is None:
            return None
        if before == after:
            again = _told_since_last_change(entry, digest) and not _changes_nothing(event)
            return "duplicate" if again else None
        if event.action == "insert" and before != ABSENT and repeated:
            return "duplicate"
        if not event.previous or (before != ABSENT and not contradicts(event.previous, before, self._rules)):
            entry.expected = None
            return None
        if repeated:
            return "duplicate"
        return self._broken(entry, event.previous, after)

    def _broken(self, entry: Entry, previous: Mapping[str, Any], after: bytes) -> Fault | None:
        """An event that starts from a state that push had not told: one is lost, or two have changed places.

        They have changed places where this event leads to the state that the one before it started from.
        """
        self.broken_chains += 1
        expected, entry.expected = entry.expected, previous
        if expected is None or after == ABSENT or contradicts(expected, after, self._rules):
            return None
        return "reordered"


def _told_since_last_change(entry: Entry, event: int) -> bool:
    """Whether push has told this very event since the entity came to its current state."""
    for told in reversed(entry.told):
        if told.state != entry.told[-1].state:
            return False
        if told.event == event:
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
