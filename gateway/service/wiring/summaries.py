"""What the nodes of one log tell one another of what they have counted, and when a line says they can't."""

import logging
from collections.abc import Callable, Mapping

from flags.decide.flag import Flags
from flags.decide.guard_settings import GuardSettings
from gateway.migration.node_summaries import NodeSummaries
from gateway.migration.node_sums import ContentOfNode, Folding, Maker
from gateway.ports.clock import Clock
from gateway.runtime.outage import Outage
from gateway.service.wiring.flags import OutageBesideLog
from gateway.service.wiring.stored import Stored

_log = logging.getLogger(__name__)

_WINDOWS = 2
"""For how many of the longest windows the figures of a node that is gone are kept apart."""
_DEFAULT_SECONDS = GuardSettings().window_seconds


def make_summaries(
    clock: Clock, stored: Stored, snapshot: Callable[[], Flags], makers: Mapping[str, Maker]
) -> NodeSummaries:
    """The summaries of all nodes with this log. `makers` make this node's, one member each.

    The name of this node is not known yet.
    """

    def retain_seconds() -> float:
        flags = snapshot().by_component.values()
        return _WINDOWS * max((flag.guard.window_seconds for flag in flags), default=_DEFAULT_SECONDS)

    own = Outage(_log, "node_summaries", now=clock.monotonic)
    return NodeSummaries(
        *(stored.leases, clock, "", ContentOfNode(makers), Folding()),
        retain_seconds=retain_seconds,
        outage=OutageBesideLog(own, stored.outage, clock.monotonic),
    )
