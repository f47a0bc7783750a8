"""Brings the log's records into this node's history."""

from collections.abc import Callable

from gateway.clock import Clock
from gateway.history import History
from gateway.hub import Hub
from gateway.log import EventLog


class Follower:
    """Reads the log from where the history ends. `is_following` is False while the log is out of reach.

    `on_grown` is called when the history has grown; the hub is woken before that.
    """

    def __init__(self, log: EventLog, history: History, hub: Hub, clock: Clock) -> None:
        self._log = log
        self._history = history
        self._hub = hub
        self._clock = clock
        self.is_following = False
        self.on_grown: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Follows until the log is closed. Raises LogError where it is lost; run it again then."""
        try:
            self.is_following = True
            async for records in self._log.tail(self._history.head_position):
                now = self._clock.monotonic()
                for record in records:
                    self._history.append(record, now)
                self._hub.wake()
                self.on_grown()
                await self._hub.room()
        finally:
            self.is_following = False
