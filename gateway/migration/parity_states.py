"""One parity lane's states. The transitions are a table; docs/architecture.md draws its diagram from it."""

from collections.abc import Mapping
from enum import Enum


class LaneState(Enum):
    """Whether a lane compares, and what it is at."""

    OFF = "off"
    """The component's stage is none in which push is compared."""
    STALE = "stale"
    """What was pushed until now is not to count on: begins anew, or ends, at the next look at the flag."""
    READING = "reading"
    """Takes every event, and waits for the next answer."""
    COMPARING = "comparing"
    """An answer is being compared; events wait meanwhile."""


class LaneSignal(Enum):
    """What happens to a lane."""

    BEGUN = "begun"
    ENDED = "ended"
    DOUBTED = "doubted"
    TAKEN = "taken"
    COMPARED = "compared"


TRANSITIONS: Mapping[tuple[LaneState, LaneSignal], LaneState] = {
    (LaneState.OFF, LaneSignal.BEGUN): LaneState.READING,
    (LaneState.OFF, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.STALE, LaneSignal.BEGUN): LaneState.READING,
    (LaneState.STALE, LaneSignal.ENDED): LaneState.OFF,
    (LaneState.STALE, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.STALE, LaneSignal.COMPARED): LaneState.STALE,
    (LaneState.READING, LaneSignal.ENDED): LaneState.OFF,
    (LaneState.READING, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.READING, LaneSignal.TAKEN): LaneState.COMPARING,
    (LaneState.COMPARING, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.COMPARING, LaneSignal.COMPARED): LaneState.READING,
}
"""Every pair that may happen; any other is an error in the caller."""

ACTIVE = (LaneState.READING, LaneState.COMPARING)
"""The states in which a lane is to get events, and answers to compare."""
