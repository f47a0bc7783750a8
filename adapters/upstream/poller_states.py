"""One poller's states. The transitions are a table; docs/architecture.md draws its diagram from it."""

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """What a poller is at, or what its last poll gave."""

    IDLE = "idle"
    """Nobody wants the result, or nothing was asked since somebody does."""
    ASKING = "asking"
    """A poll is under way; callers are answered by what was known before."""
    CURRENT = "current"
    """The last poll gave an answer, which is the snapshot."""
    HELD = "held"
    """The last poll gave an answer that is kept back until another confirms it."""
    FAILED = "failed"
    """The last poll gave nothing."""
    CLOSED = "closed"
    """Over. Nothing is asked any more, and nobody waits."""


class Signal(Enum):
    """What happens to a poller."""

    BEGUN = "begun"
    TAKEN = "taken"
    KEPT_BACK = "kept back"
    FAILED = "failed"
    UNWANTED = "unwanted"
    CLOSED = "closed"


TRANSITIONS: Mapping[tuple[State, Signal], State] = {
    (State.IDLE, Signal.BEGUN): State.ASKING,
    (State.IDLE, Signal.CLOSED): State.CLOSED,
    (State.ASKING, Signal.TAKEN): State.CURRENT,
    (State.ASKING, Signal.KEPT_BACK): State.HELD,
    (State.ASKING, Signal.FAILED): State.FAILED,
    (State.CURRENT, Signal.BEGUN): State.ASKING,
    (State.CURRENT, Signal.UNWANTED): State.IDLE,
    (State.CURRENT, Signal.CLOSED): State.CLOSED,
    (State.HELD, Signal.BEGUN): State.ASKING,
    (State.HELD, Signal.UNWANTED): State.IDLE,
    (State.HELD, Signal.CLOSED): State.CLOSED,
    (State.FAILED, Signal.BEGUN): State.ASKING,
    (State.FAILED, Signal.UNWANTED): State.IDLE,
    (State.FAILED, Signal.CLOSED): State.CLOSED,
    (State.CLOSED, Signal.CLOSED): State.CLOSED,
}
"""Every pair that may happen; any other is an error in the caller."""
