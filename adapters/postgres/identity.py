"""Whether the log is still the one that this node read from: its server, its history, its newest event."""

import hashlib
from typing import NamedTuple
from weakref import WeakSet

from adapters.postgres.connection import Server, Session
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Position

_EPOCH_CHARACTERS = 12


def epoch_of(server: Server, history: str) -> str:
    """The epoch of a history (its name in `sync_events_bounds`) on a server."""
    identity = f"{server.system}/{server.timeline:08X}/{history}"
    return hashlib.sha256(identity.encode()).hexdigest()[:_EPOCH_CHARACTERS]


class Servers:
    """Sees to it that all sessions are with one server, as after a failover that left the old one running.

    Of one system the highest timeline is the log's, for somebody promoted it. Otherwise the latest server is:
    an address leads to another one because somebody changed that. Sessions with the one before are closed.
    """

    def __init__(self) -> None:
        self._server: Server | None = None
        self._sessions: WeakSet[Session] = WeakSet()

    def admit(self, session: Session) -> None:
        """Takes a new session in. Raises LogError where its server was promoted away from."""
        known, found = self._server, session.server
        if known is not None and found.system == known.system and found.timeline < known.timeline:
            raise LogError(
                "This Postgres was the primary before another one was promoted: stop it. Where it is to be"
                " the log again, restart the gateway."
            )
        if found != known:
            self._server = found
            for other in list(self._sessions):
                other.close()
            self._sessions.clear()
        self._sessions.add(session)


class Newest(NamedTuple):
    """The newest event that this node has read or appended, or heard of, in the epoch in which it did."""

    epoch: str = ""
    position: Position = ORIGIN

    def with_event(self, epoch: str, position: Position) -> "Newest":
        """What is the newest, now that an event at `position` is known too."""
        return Newest(epoch, max(self.position, position) if epoch == self.epoch else position)
