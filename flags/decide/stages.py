"""The stages of a component's migration, and which may follow which (docs/protocol.md, section 8)."""

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from flags.errors import ForbiddenMove


class Ways(NamedTuple):
    """`polled`: polls are answered; `pushed`: push says the same; `streamed`: some rely on push alone."""

    polled: bool
    pushed: bool
    streamed: bool


class Stage(StrEnum):
    """In the order in which a migration goes through them."""

    OFF = "off"
    SHADOW = "shadow"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"

    @property
    def ways(self) -> Ways:
        """By which ways events come in this stage. A type checker refuses a stage that is not named here."""
        match self:
            case Stage.OFF:
                return Ways(polled=True, pushed=False, streamed=False)
            case Stage.SHADOW:
                return Ways(polled=True, pushed=True, streamed=False)
            case Stage.LIVE | Stage.RAMPDOWN:
                return Ways(polled=True, pushed=True, streamed=True)
            case Stage.COMPLETE:
                return Ways(polled=False, pushed=True, streamed=True)


POLLED = frozenset(stage for stage in Stage if stage.ways.polled)
"""The stages in which polls are answered."""
STREAMED = frozenset(stage for stage in Stage if stage.ways.streamed)
"""The stages in which somebody may get events by push alone."""
COMPARED = frozenset(stage for stage in POLLED if stage.ways.pushed)
"""The stages in which push can be compared with polling."""


MOVES = MappingProxyType(
    {
        Stage.OFF: (Stage.SHADOW,),
        Stage.SHADOW: (Stage.OFF, Stage.LIVE),
        Stage.LIVE: (Stage.OFF, Stage.SHADOW, Stage.RAMPDOWN),
        Stage.RAMPDOWN: (Stage.OFF, Stage.SHADOW, Stage.LIVE, Stage.COMPLETE),
        Stage.COMPLETE: (Stage.OFF, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN),
    }
)
"""From each stage, where it may go: one step forward, for each stage proves what the next relies on; and
back to any earlier one, for the way back must not lead through stages that are broken too."""


NO_SOURCE = 'none of its legacy routes is shared with events = "poll", and none has events = "external"'
"""What a component without a source of events lacks, in words."""

SILENT = tuple(stage for stage in Stage if stage not in STREAMED)
"""The stages that such a component may be in: in all others somebody would wait for events in vain."""


def check_source(component: str, before: Stage | None, after: Stage) -> None:
    """Raises ForbiddenMove where a component without a source of events is to leave SILENT.

    `before` is None where it had no stage.
    """
    if after not in SILENT:
        why = f"{component} has no source of events, so it can't go to {after}: {NO_SOURCE}."
        raise ForbiddenMove(before, after, SILENT, why)


def check_move(before: Stage, after: Stage) -> None:
    """Raises ForbiddenMove, which names the allowed stages, where the table has no such move.

    Staying is no move, and always allowed.
    """
    if after is not before and after not in MOVES[before]:
        raise ForbiddenMove(before, after, MOVES[before])
