"""Where the events are: what `log.url` and `[history]` come to."""

import logging
from dataclasses import dataclass

from gateway.core.history import History
from gateway.ports.clock import Clock
from gateway.ports.leases import Leases
from gateway.ports.log import EventLog
from gateway.ports.shared import SharedStore
from gateway.runtime.node_topics import NodeTopics
from gateway.runtime.outage import Outage
from gateway.runtime.slices import Slices
from gateway.runtime.stopping import Closing
from gateway.service.settings import Settings
from gateway.service.wiring.entities import id_aliases
from gateway.service.wiring.logs import open_leases, open_log
from gateway.service.wiring.nodes import make_node_topics

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """The log, who does what for all nodes of it, and this node's history of it.

    `outage` tells of the log's outages, `slices` are those of what the gateway does by itself. Callers' scans
    have slices of their own: however many there are, they don't hold that up.
    Whoever listens to one of `node_topics` does so before delivery starts them.
    """

    log: EventLog
    leases: Leases | None
    history: History
    outage: Outage
    slices: Slices
    node_topics: NodeTopics | None

    @property
    def is_alone(self) -> bool:
        """Whether no other node serves the same log."""
        return self.leases is None or not self.leases.is_shared

    @property
    def shared(self) -> SharedStore | None:
        """What nodes share beside the log."""
        return None if self.leases is None else self.leases.store

    async def start(self, closing: Closing) -> None:
        """Connects. Raises LogError where the log can't be used."""
        closing.add("log", self.log.close)
        await self.log.start()
        if self.shared is not None:
            closing.add("shared", self.shared.close)
            await self.shared.start()


def make_stored(settings: Settings, clock: Clock, log: EventLog | None) -> Stored:
    """The log of `log.url`, or `log` in its place. Raises ConfigError where the URL is of no use."""
    history = History(**settings.history.model_dump(), id_aliases=id_aliases(settings))
    outage = Outage(_log, "log", now=clock.monotonic)
    return Stored(
        log or open_log(settings, clock),
        open_leases(settings, clock),
        history,
        outage,
        Slices(clock),
        make_node_topics(settings, clock, outage),
    )
