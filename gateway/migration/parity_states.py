"""One parity lane's states. The transitions are a table; docs/architecture.md draws its diagram from it."""

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """Whether a lane compares, and what it is at."""

    OFF = "off"
    """The component's stage is none in which push is compared."""
    STALE = "stale"
    """What was pushed until now is not to count on: begins anew, or ends, at the next look at the flag."""
    READING = "reading"
    """Takes every event, and waits for the next answer."""
    COMPARING = "comparing"
    """An answer is being compared; events wait meanwhile."""


class Signal(Enum):
    """What happens to a lane."""

    BEGUN = "begun"
    ENDED = "ended"
    DOUBTED = "doubted"
    TAKEN = "taken"
    COMPARED = "compared"


TRANSITIONS: Mapping[tuple[State, Signal], State] = {
    (State.OFF, Signal.BEGUN): State.READING,
    (State.OFF, Signal.DOUBTED): State.STALE,
    (State.STALE, Signal.BEGUN): State.READING,
    (State.STALE, Signal.ENDED): State.OFF,
    (State.STALE, Signal.DOUBTED): State.STALE,
    (State.STALE, Signal.COMPARED): State.STALE,
    (State.READING, Signal.ENDED): State.OFF,
    (State.READING, Signal.DOUBTED): State.STALE,
    (State.READING, Signal.TAKEN): State.COMPARING,
    (State.COMPARING, Signal.DOUBTED): State.STALE,
    (State.COMPARING, Signal.COMPARED): State.READING,
}
"""Every pair that may happen; any other is an error in the caller."""

ACTIVE = (State.READING, State.COMPARING)
"""The states in which a lane is to get events, and answers to compare."""
