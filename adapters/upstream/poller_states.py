"""One poller's states. The transitions are a table; docs/architecture.md draws its diagram from it."""

from collections.abc import Mapping
from enum import Enum


class PollerState(Enum):
    """What a poller is at, or what its last poll gave."""

    IDLE = "idle"
    """Nobody wants the result, or nothing was asked since somebody does."""
    ASKING = "asking"
    """A poll is under way; callers are answered by what was known before."""
    CURRENT = "current"
    """The last poll gave an answer, which is the snapshot."""
    HELD = "held"
    """The last poll gave an answer that is kept back until another confirms it."""
    UNUSABLE = "unusable"
    """The last poll gave an answer that can't be compared, and is served all the same."""
    FAILED = "failed"
    """The last poll gave nothing."""
    CLOSED = "closed"
    """Over. Nothing is asked any more, and nobody waits."""


class PollerSignal(Enum):
    """What happens to a poller."""

    BEGUN = "begun"
    TAKEN = "taken"
    KEPT_BACK = "kept back"
    UNUSABLE = "unusable"
    FAILED = "failed"
    UNWANTED = "unwanted"
    CLOSED = "closed"


TRANSITIONS: Mapping[tuple[PollerState, PollerSignal], PollerState] = {
    (PollerState.IDLE, PollerSignal.BEGUN): PollerState.ASKING,
    (PollerState.IDLE, PollerSignal.CLOSED): PollerState.CLOSED,
    (PollerState.ASKING, PollerSignal.TAKEN): PollerState.CURRENT,
    (PollerState.ASKING, PollerSignal.KEPT_BACK): PollerState.HELD,
    (PollerState.ASKING, PollerSignal.UNUSABLE): PollerState.UNUSABLE,
    (PollerState.ASKING, PollerSignal.FAILED): PollerState.FAILED,
    (PollerState.CURRENT, PollerSignal.BEGUN): PollerState.ASKING,
    (PollerState.CURRENT, PollerSignal.UNWANTED): PollerState.IDLE,
    (PollerState.CURRENT, PollerSignal.CLOSED): PollerState.CLOSED,
    (PollerState.HELD, PollerSignal.BEGUN): PollerState.ASKING,
    (PollerState.HELD, PollerSignal.UNWANTED): PollerState.IDLE,
    (PollerState.HELD, PollerSignal.CLOSED): PollerState.CLOSED,
    (PollerState.UNUSABLE, PollerSignal.BEGUN): PollerState.ASKING,
    (PollerState.UNUSABLE, PollerSignal.UNWANTED): PollerState.IDLE,
    (PollerState.UNUSABLE, PollerSignal.CLOSED): PollerState.CLOSED,
    (PollerState.FAILED, PollerSignal.BEGUN): PollerState.ASKING,
    (PollerState.FAILED, PollerSignal.UNWANTED): PollerState.IDLE,
    (PollerState.FAILED, PollerSignal.CLOSED): PollerState.CLOSED,
    (PollerState.CLOSED, PollerSignal.CLOSED): PollerState.CLOSED,
}
"""Every pair that may happen; any other is an error in the caller."""
