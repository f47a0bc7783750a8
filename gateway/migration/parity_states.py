"""One parity lane's states. The transitions are a table; docs/architecture.md draws its diagram from it."""

from collections.abc import Mapping
from enum import Enum


class LaneState(Enum):
    """Whether a lane compares, and what it is at."""

    OFF = "off"
    """The component's stage is none in which push is compared."""
    ELSEWHERE = "elsewhere"
    """Another node has the lease, or none has it: nothing is compared here."""
    STALE = "stale"
    """What was pushed until now is not to count on: at the next look it begins anew, or ends."""
    READING = "reading"
    """Takes every event, and waits for the next answer."""
    COMPARING = "comparing"
    """An answer is being compared; events wait meanwhile."""


class LaneSignal(Enum):
    """What happens to a lane."""

    BEGUN = "begun"
    ENDED = "ended"
    YIELDED = "yielded"
    DOUBTED = "doubted"
    TAKEN = "taken"
    COMPARED = "compared"


TRANSITIONS: Mapping[tuple[LaneState, LaneSignal], LaneState] = {
    (LaneState.OFF, LaneSignal.BEGUN): LaneState.READING,
    (LaneState.OFF, LaneSignal.YIELDED): LaneState.ELSEWHERE,
    (LaneState.OFF, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.ELSEWHERE, LaneSignal.BEGUN): LaneState.READING,
    (LaneState.ELSEWHERE, LaneSignal.ENDED): LaneState.OFF,
    (LaneState.ELSEWHERE, LaneSignal.DOUBTED): LaneState.ELSEWHERE,
    (LaneState.STALE, LaneSignal.BEGUN): LaneState.READING,
    (LaneState.STALE, LaneSignal.ENDED): LaneState.OFF,
    (LaneState.STALE, LaneSignal.YIELDED): LaneState.ELSEWHERE,
    (LaneState.STALE, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.STALE, LaneSignal.COMPARED): LaneState.STALE,
    (LaneState.READING, LaneSignal.ENDED): LaneState.OFF,
    (LaneState.READING, LaneSignal.YIELDED): LaneState.ELSEWHERE,
    (LaneState.READING, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.READING, LaneSignal.TAKEN): LaneState.COMPARING,
    (LaneState.COMPARING, LaneSignal.DOUBTED): LaneState.STALE,
    (LaneState.COMPARING, LaneSignal.COMPARED): LaneState.READING,
}
"""Every pair that may happen; any other is an error in the caller."""


class BegunBy(Enum):
    """Why a fold began anew (docs/protocol.md, section 8)."""

    START = "start"
    """The process began, or comparing was taken up again after it had failed."""
    FLAG = "flag"
    """The component came into a stage in which push is compared."""
    LEASE = "lease"
    """This node got the lease."""
    REARM = "rearm"
    TRIMMED = "trimmed"
    """Events were trimmed before they were read."""
    EPOCH = "epoch"
    """The log began anew."""


ACTIVE = (LaneState.READING, LaneState.COMPARING)
"""The states in which a lane is to get events, and answers to compare."""
