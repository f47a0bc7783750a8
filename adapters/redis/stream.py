"""What stands in Redis, as values: the log's state, its entries, and whether they leave a gap. No I/O.

A log has two keys that last: `<prefix>:state`, a hash, and `<prefix>:events:<epoch>`, the stream. Every entry
carries its number in the epoch, and numbers have no gaps: so a reader sees that an entry is missing, whoever
deleted it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Position, Record
from gateway.core.log_payload import from_payload
from gateway.ports.log import trimmed, unknown

_MINOR_MAX = 2**64 - 1

STATE_FIELDS = (
    *("epoch", "last", "number", "floor", "floor_number", "relayed"),
    *("server", "origin", "began_ms"),
)


def stream_key(prefix: str, epoch: str) -> str:
    """The key of an epoch's stream."""
    return f"{prefix}:events:{epoch}"


class StreamState(NamedTuple):
    """The hash: the epoch, the position and number of the newest event and of the floor.

    `is_relayed` says that a relay fills the log, and nobody else may. `server` is the replication id of the
    server that appended last, None where a version that did not note it did. `origin` is the epoch in which
    the log was begun: epochs that only name the same events anew have it too. `began_ms`: when the epoch
    began, by the server's clock in milliseconds; 0 where that was not noted.
    """

    epoch: str
    last: Position
    number: int
    floor: Position
    floor_number: int
    is_relayed: bool
    server: str | None = None
    origin: str = ""
    began_ms: int = 0


class KnownEvent(NamedTuple):
    """One event that is known to have been in the log.

    `payload` is None where only its place is known. `seen_at`: when it was known, in monotonic seconds.
    """

    position: Position
    number: int
    payload: bytes | None
    seen_at: float


class StreamEntry(NamedTuple):
    """An entry of the stream. `came_ms`: when it was appended, by the server's clock in milliseconds."""

    position: Position
    number: int
    came_ms: int
    payload: bytes


class Hole(NamedTuple):
    """Entries that somebody else deleted. Above the floor nothing more is missing.

    `next` is the first entry that follows, None where none does.
    """

    next: Position | None
    floor: Position
    floor_number: int


def to_record(entry: StreamEntry) -> Record:
    """The record that an entry holds. Raises LogError where Tidegate did not write it."""
    try:
        event = from_payload(entry.payload)
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise LogError(f"The entry {entry.position} of the log's stream is no event.") from error
    return Record(entry.position, event, entry.came_ms)


def to_position(text: bytes) -> Position:
    """The position that a stream id writes."""
    major, _, minor = text.partition(b"-")
    return Position(int(major), int(minor))


def to_state(fields: Sequence[bytes | None]) -> StreamState | None:
    """The state out of STATE_FIELDS' values; None where there is no log."""
    epoch, last, number, floor, floor_number, relayed, server, origin, began_ms = fields
    if epoch is None or last is None or number is None or floor is None or floor_number is None:
        return None
    return StreamState(
        epoch.decode(),
        to_position(last),
        int(number),
        to_position(floor),
        int(floor_number),
        relayed is not None,
        None if server is None else server.decode(),
        (origin or epoch).decode(),
        int(began_ms or 0),
    )


def to_entries(raw: Sequence[Any]) -> list[StreamEntry]:
    """The entries out of an answer of XRANGE. Raises LogError where Tidegate did not write one."""
    entries = []
    for position, fields in raw:
        try:
            number, came_ms, payload = fields[b"e"].split(b" ", 2)
            entries.append(StreamEntry(to_position(position), int(number), int(came_ms), payload))
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


def number_at(state: StreamState, after: Position, own: StreamEntry | None) -> int | None:
    """The number of the event at `after`, where `own` is the entry found there; None for one ahead.

    Only the floor and an event that is still held can be gone on from: that a later entry is there does not
    say that none is missing before it. Raises TrimmedError below the floor, UnknownPosition elsewhere.
    """
    if after < state.floor:
        raise trimmed(after)
    if own is not None:
        return own.number
    if after == state.floor:
        return state.floor_number
    if after > state.last:
        return None
    raise unknown(after)


def hole(state: StreamState, number: int, entries: Sequence[StreamEntry], limit: int) -> Hole | None:
    """What is missing after the event `number`, where `entries` are the first `limit` that follow it."""
    for entry in entries:
        number += 1
        if entry.number != number:
            return Hole(entry.position, before(entry.position), entry.number - 1)
    if len(entries) < limit and number < state.number:
        return Hole(None, state.last, state.number)
    return None


def holds(state: StreamState, known: KnownEvent, found: StreamEntry | None) -> bool:
    """Whether the log has the event that `known` is, or has dropped it since; `found` is what stands there.

    That it goes on beyond that place says nothing: another server may have appended more than was lost.
    """
    if found is not None:
        return found.number == known.number and known.payload in (None, found.payload)
    return known.position <= state.floor and known.number <= state.floor_number


def is_another(known: KnownEvent, found: StreamEntry | None) -> bool:
    """Whether another event stands at a known one's place, whatever its number."""
    return found is not None and known.payload not in (None, found.payload)


def is_inherited(state: StreamState, replication: Mapping[str, Any]) -> bool:
    """Whether a server that was promoted, or was given a copy, still has the epoch of the one before it.

    `replication` is what the server says of it (INFO). Such a server may lack events that were acknowledged,
    and the one before may go on appending.
    """
    is_heir = bool(str(replication.get("master_replid2", "")).strip("0"))
    return state.server is not None and state.server != replication.get("master_replid") and is_heir
