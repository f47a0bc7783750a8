"""What a stream that begins with the state has of it: a place in the list of parts that all of them share.

The transitions are a table; docs/architecture.md draws its diagram from it.
"""

from collections.abc import Mapping
from enum import Enum

from gateway.core.states import following
from gateway.delivery.state.parts import StateParts
from gateway.delivery.state.question import StateQuestion


class ReadingState(Enum):
    """What a stream lacks of its state."""

    SETTLED = "settled"
    """Nothing: it goes on from a cursor."""
    WAITING = "waiting"
    """All of it, and nobody has told it yet."""
    SENDING = "sending"
    """The parts from its place on."""


class ReadingSignal(Enum):
    """What happens to a stream's state."""

    OWED = "owed"
    KNOWN = "known"
    SENT = "sent"
    DROPPED = "dropped"


READING_TRANSITIONS: Mapping[tuple[ReadingState, ReadingSignal], ReadingState] = {
    (ReadingState.SETTLED, ReadingSignal.OWED): ReadingState.WAITING,
    (ReadingState.SETTLED, ReadingSignal.DROPPED): ReadingState.SETTLED,
    (ReadingState.WAITING, ReadingSignal.KNOWN): ReadingState.SENDING,
    (ReadingState.WAITING, ReadingSignal.DROPPED): ReadingState.SETTLED,
    (ReadingState.SENDING, ReadingSignal.SENT): ReadingState.SETTLED,
    (ReadingState.SENDING, ReadingSignal.DROPPED): ReadingState.SETTLED,
}
"""Every pair that may happen; any other is an error in the caller."""


class Reading:
    """One stream's state: what it asks for, where that can be told; its parts, and the next that it gets."""

    __slots__ = ("next", "parts", "question", "state")

    def __init__(self, question: StateQuestion | None) -> None:
        self.question = question
        self.state = ReadingState.SETTLED
        self.parts: StateParts | None = None
        self.next = 0

    @property
    def is_owed(self) -> bool:
        """Whether the stream lacks its state, or the rest of it."""
        return self.state is not ReadingState.SETTLED

    def owe(self) -> None:
        """The stream can't go on from what its client has."""
        self._signal(ReadingSignal.OWED)

    def know(self, parts: StateParts) -> None:
        """These are the parts."""
        self._signal(ReadingSignal.KNOWN)
        self.parts = parts

    def end(self) -> None:
        """The last part is written."""
        self._signal(ReadingSignal.SENT)

    def drop(self) -> None:
        """What the stream lacks is not to be sent any more."""
        self._signal(ReadingSignal.DROPPED)

    def _signal(self, signal: ReadingSignal) -> None:
        """Moves to the state that the table gives. Raises RuntimeError for a pair that it does not have."""
        self.state = following(READING_TRANSITIONS, self.state, signal, "a stream's state")
        self.parts, self.next = None, 0
