"""The stages of a component's migration, and which may follow which (docs/protocol.md, section 8)."""

from enum import StrEnum
from types import MappingProxyType

from flags.errors import ForbiddenMove


class Stage(StrEnum):
    """In the order in which a migration goes through them."""

    OFF = "off"
    SHADOW = "shadow"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"


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
