"""What stands in Redis, as values: the log's state, its entries, and whether they leave a gap. No I/O.

A log has two keys that last: `<prefix>:state`, a hash, and `<prefix>:events:<epoch>`, the stream. Every entry
carries its number in the epoch, and numbers have no gaps: so a reader sees that an entry is missing, whoever
deleted it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from gateway.errors import LogError, TrimmedError
from gateway.events import ORIGIN, Position, Record
from gateway.stored import from_payload

_MINOR_MAX = 2**64 - 1

STATE_FIELDS = ("epoch", "last", "number", "floor", "floor_number", "relayed")


def stream_key(prefix: str, epoch: str) -> str:
    """The key of an epoch's stream."""
    return f"{prefix}:events:{epoch}"


class State(NamedTuple):
    """The hash: the epoch, the position and number of the newest event and of the floor.

    `is_relayed` says that a relay fills the log, and nobody else may.
    """

    epoch: str
    last: Position
    number: int
    floor: Position
    floor_number: int
    is_relayed: bool


class Mark(NamedTuple):
    """One event that is known to have been in the log."""

    position: Position
    number: int


class Entry(NamedTuple):
    """An entry of the stream."""

    position: Position
    number: int
    payload: bytes

    @property
    def mark(self) -> Mark:
        return Mark(self.position, self.number)


class Hole(NamedTuple):
    """Entries that somebody else deleted. Above the floor nothing more is missing.

    `next` is the first entry that follows, None where none does.
    """

    next: Position | None
    floor: Position
    floor_number: int


def to_record(entry: Entry) -> Record:
    """The record that an entry holds. Raises LogError where Tidegate did not write it."""
    try:
        event = from_payload(entry.payload)
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise LogError(f"The entry {entry.position} of the log's stream is no event.") from error
    return Record(entry.position, event)


def to_position(text: bytes) -> Position:
    """The position that a stream id writes."""
    major, _, minor = text.partition(b"-")
    return Position(int(major), int(minor))


def to_state(fields: Sequence[bytes | None]) -> State | None:
    """The state out of STATE_FIELDS' values; None where there is no log."""
    epoch, last, number, floor, floor_number, relayed = fields
    if epoch is None or last is None or number is None or floor is None or floor_number is None:
        return None
    return State(
        epoch.decode(),
        to_position(last),
        int(number),
        to_position(floor),
        int(floor_number),
        relayed is not None,
    )


def to_entries(raw: Sequence[Any]) -> list[Entry]:
    """The entries out of an answer of XRANGE. Raises LogError where Tidegate did not write one."""
    entries = []
    for position, fields in raw:
        try:
            number, _, payload = fields[b"e"].split(b" ", 2)
            entries.append(Entry(to_position(position), int(number), payload))
        except (KeyError, ValueError) as error:
            raise LogError(
                f"The entry {position.decode()} of the log's stream was not written by Tidegate: "
                "choose another prefix, or keep other programs off this one."
            ) from error
    return entries


def before(position: Position) -> Position:
    """The position right before `position`, which is not the first."""
    if position.minor:
        return Position(position.major, position.minor - 1)
    return Position(position.major - 1, _MINOR_MAX) if position.major else ORIGIN


def number_at(state: State, after: Position, own: Entry | None) -> int | None:
    """The number of the event at `after`, where `own` is the entry found there; None for one ahead.

    Only the floor and an event that is still held can be gone on from: that a later entry is there does not
    say that none is missing before it. Raises TrimmedError for any other position.
    """
    if own is not None and after >= state.floor:
        return own.number
    if after == state.floor:
        return state.floor_number
    if after > state.last:
        return None
    raise trimmed(after)


def hole(state: State, number: int, entries: Sequence[Entry], limit: int) -> Hole | None:
    """What is missing after the event `number`, where `entries` are the first `limit` that follow it."""
    for entry in entries:
        number += 1
        if entry.number != number:
            return Hole(entry.position, before(entry.position), entry.number - 1)
    if len(entries) < limit and number < state.number:
        return Hole(None, state.last, state.number)
    return None


def is_lost(state: State, known: Mark, found: Entry | None) -> bool:
    """Whether the log no longer is the one that `known` was in: it came back without its tail.

    `found` is the first entry at or after the known position. An entry that was only trimmed or deleted
    leaves its number unused; one that was lost has its number given to another.
    """
    if state.last < known.position or state.number < known.number:
        return True
    if found is None:
        return False
    if found.position == known.position:
        return found.number != known.number
    return found.number <= known.number


def trimmed(after: Position) -> TrimmedError:
    return TrimmedError(f"Events right after {after} are no longer held.")
