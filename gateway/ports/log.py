"""The log: one ordered sequence of events, of which everything else is a reader.

`EventLog` is what an adapter implements; tests/conformance/ holds the suite that every one of them passes.
`WatchedLog` is for those of which an operator has something to watch, `PromptLog` for those that need not
wait; both are found by type.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from gateway.core.errors import TrimmedError, UnknownPosition
from gateway.core.events import Event, Position, Record


class Bounds(NamedTuple):
    """What a log holds: every event with `floor < position <= head`, and nothing else of its epoch."""

    floor: Position
    head: Position


ONCE_SECONDS = 600.0
"""For how long `append_once` knows its keys at least."""


class Appended(NamedTuple):
    """Where events stand in the log: their positions, in order, and the epoch of which those are.

    Both come out of the same append, so they are true of one another also where the log starts over just
    then. `replayed`: the events stood there before this call.
    """

    epoch: str
    positions: list[Position]
    replayed: bool = False


def trimmed(after: Position) -> TrimmedError:
    """The error of a position below the floor."""
    return TrimmedError(f"Events right after {after} are no longer held.")


def unknown(after: Position) -> UnknownPosition:
    """The error of a position that is neither an event's, nor the floor, nor ahead of the head."""
    return UnknownPosition(f"The log never held an event at {after}.")


class EventLog(Protocol):
    """An ordered, bounded log of events.

    The same rules hold for every implementation:

    - positions grow with every event of an epoch and are never given twice;
    - an event that was read once is never followed by one with a lower position;
    - what was appended stays readable until it falls below the floor, and the floor only rises;
    - `epoch` names one history: it changes when positions start over, and only then;
    - a position is one of the epoch that `epoch` gave when the call was made. Where the log has started over
      since, `read` and `tail` raise EpochChanged, and never give a record of the new epoch for a position of
      the old.
    """

    @property
    def epoch(self) -> str:
        """The history's name, 1 to 64 of `a-z 0-9`; known once `start` returned.

        Whoever was raised EpochChanged finds the new one here.
        """
        ...

    async def start(self) -> None:
        """Connects. Raises LogError where the log can't be used, with what to do about it."""
        ...

    async def close(self) -> None:
        """Ends every tail and closes its connections. Closing twice, or before `start`, does nothing."""
        ...

    async def append(self, events: Sequence[Event]) -> Appended:
        """Appends all of `events` or none; no positions for an empty list.

        Raises LogError. A cancelled or failed call may have appended all of them, never a part.
        """
        ...

    async def append_once(self, events: Sequence[Event], key: str, digest: bytes) -> Appended:
        """Appends as `append` does, but once for each `key`, whichever node it is asked of.

        A later call with the key gives the positions of the first, for ONCE_SECONDS; so does one that comes
        while the first is under way. `digest` stands for the request, at most 64 bytes: the events may be
        written with another time in them, and be the same request. A call that failed leaves no key behind.
        No key is forgotten before its time, but with the events that it stands for: where a new epoch lacks
        them, the request is a new one.

        Raises IdempotencyConflict where the key came with another digest, NoRoomForKey where no more keys can
        be kept (then nothing was appended), and LogError.
        """
        ...

    async def read(self, after: Position, limit: int) -> list[Record]:
        """The first records after `after`, at most `limit` of them, in order; empty at the head.

        `after` is the position of a record, the floor, or one ahead of the head, to which the log may still
        come. Raises TrimmedError where it is below the floor, whatever was there, UnknownPosition where it is
        none of these, EpochChanged where the log has started over, LogError otherwise.
        """
        ...

    async def latest(self, limit: int, before: Position | None = None) -> list[Record]:
        """The newest records, at most `limit` of them, oldest first; all that is held where that is less.

        With `before`, the position of a record that this log has given, those right before that one; none
        where they are no longer held. Raises LogError. Where the log has started over since `before` was
        given, what comes is of no use: ask for `epoch` afterwards.
        """
        ...

    async def bounds(self) -> Bounds:
        """What the log holds now. Raises LogError."""
        ...

    def tail(self, after: Position) -> AsyncIterator[list[Record]]:
        """Every record after `after`, in order, in batches as they come, until `close`.

        A position that is ahead when the tail begins may be passed over: then what comes after it is given.

        Raises what `read` does: TrimmedError where the reader fell behind the floor, EpochChanged where the
        log has started over, and LogError where it is lost; the reader then starts again from its last
        position.
        """
        ...


@runtime_checkable
class PromptLog(Protocol):
    """A log that mostly has nothing to wait for. To append without waiting takes no task."""

    def append_now(self, events: Sequence[Event]) -> Appended | None:
        """Appends as `append` does; None, and nothing was appended, where that would have to wait.

        Raises LogError.
        """
        ...


class Figure(NamedTuple):
    """A number about a log: `tidegate_log_` and its `name`, and in `text` what it says.

    `is_total`: it counts since the start of the process, and only grows.
    """

    name: str
    text: str
    value: float
    is_total: bool = False


@runtime_checkable
class WatchedLog(Protocol):
    """What a log tells its operator. Nothing is asked of the server for it; figures are some seconds old."""

    def figures(self) -> Sequence[Figure]:
        """The log's figures, always the same names."""
        ...

    def warnings(self) -> list[str]:
        """What an operator should see to while events still come, a sentence each; no secrets."""
        ...
