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


def check_move(before: Stage, after: Stage) -> None:
    """Raises ForbiddenMove, which names the allowed stages, where the table has no such move.

    Staying is no move, and always allowed.
    """
    if after is not before and after not in MOVES[before]:
        raise ForbiddenMove(before, after, MOVES[before])
