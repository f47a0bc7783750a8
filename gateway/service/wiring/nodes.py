"""What the nodes of one log tell one another in passing, and when a line says that they can't."""

import logging

from gateway.ports.clock import Clock
from gateway.runtime.node_carrier import NodeCarrier
from gateway.runtime.node_topics import NodeTopics
from gateway.runtime.outage import Outage
from gateway.service.settings import Settings
from gateway.service.wiring.flags import OutageBesideLog
from gateway.service.wiring.logs import open_node_links

_log = logging.getLogger(__name__)


def make_node_topics(settings: Settings, clock: Clock, log_outage: Outage) -> NodeTopics | None:
    """What the nodes tell one another with this log, not started yet; None where it is of one process alone.

    `log_outage` tells when the log is out of reach.
    """
    links = open_node_links(settings)
    if links is None:
        return None
    own = Outage(_log, "node_messages", now=clock.monotonic)
    return NodeTopics(NodeCarrier(links, clock, OutageBesideLog(own, log_outage, clock.monotonic)))
