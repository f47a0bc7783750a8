"""What brings events from the log to the streams: what `[stream]`, `[hints]` and `limits.replays` come to."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.delivery.follower import Follower
from gateway.delivery.group import Groups
from gateway.delivery.hub import Hub, HubTiming
from gateway.delivery.observer import Observer
from gateway.delivery.pace import Pace
from gateway.delivery.replay.from_log import Replays
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.replay.resume import Resumes
from gateway.delivery.revoked_tokens import RevokedTokens
from gateway.delivery.sockets import StreamSockets
from gateway.delivery.state.asking import StateAsking
from gateway.delivery.state.queue import StateQueue
from gateway.delivery.state.shared import SharedStates
from gateway.ports.clock import Clock
from gateway.ports.state import StateSource
from gateway.runtime.logs import log_event
from gateway.runtime.node_topics import PRESENCE, NodeTopics
from gateway.runtime.slices import Slices
from gateway.runtime.stopping import Closing
from gateway.runtime.supervisor import Supervisor
from gateway.service.settings import Settings
from gateway.service.wiring.revocations import Beside
from gateway.service.wiring.stored import Stored

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The hub with those who feed it; `supervisor` keeps what works on the log. `revoked` are known first."""

    hub: Hub
    sockets: StreamSockets
    archive: LogArchive
    follower: Follower
    replays: Replays
    supervisor: Supervisor
    revoked: RevokedTokens
    resumes: Resumes
    states: SharedStates
    asking: StateAsking
    node_topics: NodeTopics | None

    async def start(self, closing: Closing) -> None:
        """Fills the history, and follows the log from there. Raises LogError where the log can't be read."""
        closing.add("revocations", self.revoked.close)
        await self.revoked.start()
        closing.add("sockets", self._close_sockets)
        self.sockets.start()
        closing.add("hub", self._stop_hub)
        await self.follower.start()
        closing.add("supervisor", self.supervisor.close)
        self.supervisor.run("follower", self.follower.run)
        self.supervisor.run("revocations", self.revoked.run)
        self.replays.start(self.supervisor)
        self.asking.start(self.supervisor)
        topics, nodes = self.node_topics, self.hub.presence.nodes
        if topics is not None and nodes is not None:
            closing.add("node_messages", topics.close)
            await topics.start()
            closing.add("nodes", self._leave_nodes)
            nodes.start()

    async def drain(self, seconds: float) -> None:
        """Sends the streams away, and waits for them at most so long."""
        gone = self.hub.drain()
        try:
            async with asyncio.timeout(seconds):
                await gone
        except TimeoutError:
            log_event(_log, logging.WARNING, "drain_incomplete", streams=self.hub.connections)

    async def _leave_nodes(self) -> None:
        nodes = self.hub.presence.nodes
        if nodes is not None:
            nodes.end()

    async def _close_sockets(self) -> None:
        self.sockets.close()

    async def _stop_hub(self) -> None:
        self.hub.stop()


def make_delivery(
    settings: Settings,
    clock: Clock,
    stored: Stored,
    groups: Groups,
    observer: Observer,
    on_grown: Callable[[], None],
    source: StateSource,
    pace: Pace,
) -> Delivery:
    """The hub of this event loop over the history, and what fills the history from the log."""
    timing = HubTiming(
        heartbeat_seconds=settings.stream.heartbeat_seconds,
        coalesce_seconds=settings.stream.coalesce_ms / 1000,
        stall_seconds=settings.stream.stall_seconds,
        retry_ms=settings.stream.retry_ms,
    )
    revoked = RevokedTokens(Beside(settings, clock, stored.shared), clock)
    log, history, queue = stored.log, stored.history, ReplayQueue()
    states_wanted = StateQueue(lambda question: states.knows(question))
    loop = asyncio.get_running_loop()
    topics = stored.node_topics
    presence = None if topics is None else topics.topic(PRESENCE)
    hub = Hub(
        history,
        loop,
        clock,
        timing,
        groups,
        observer=observer,
        replays=queue,
        states=states_wanted,
        revocations=revoked.revocations,
        node_topic=presence,
        pace=pace,
    )
    if presence is not None and hub.presence.nodes is not None:
        presence.listen(hub.presence.nodes.heard)
    sockets = StreamSockets(hub, loop, settings.stream.write_buffer_bytes)
    archive = LogArchive(log, history, clock, stored.slices, pace)
    follower = Follower(log, history, hub, clock, stored.outage, on_grown, revoked)
    supervisor = Supervisor(clock.monotonic, stored.outage)
    replays = Replays(history, archive, hub, queue, pace, at_once=settings.limits.replays)
    resumes = Resumes(history, archive, follower)
    slices = Slices(clock)
    states = SharedStates(source, resumes.place, history, clock, slices, pace)
    asking = StateAsking(states, hub, states_wanted, slices)
    return Delivery(
        *(hub, sockets, archive, follower, replays, supervisor, revoked, resumes, states, asking),
        topics,
    )
