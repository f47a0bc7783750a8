"""A world whose history is the end of a log that holds more, and drops events when it is told to."""

import asyncio
from typing import NamedTuple

from gateway.core.events import Position, Record
from gateway.delivery.replay.from_log import Replays
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.replay.queue import ReplayQueue
from gateway.delivery.state.queue import StateQueue
from gateway.runtime.slices import Slices
from tests.property.world import EPOCH, Pace, World
from tests.support.shaky_log import ShakyLog

_MAX_TURNS = 5000
_QUIET_TURNS = 12
"""More turns of the event loop than a replay may take between two writes."""


class LogWorld(World):
    """A world with an event loop of its own, on which replays run when they are let."""

    def __init__(self, pace: Pace, states: StateQueue | None = None) -> None:
        queue = ReplayQueue()
        super().__init__(pace, queue, states)
        self.loop = asyncio.new_event_loop()
        self.log = ShakyLog()
        self.log.start_over(EPOCH)
        archive = LogArchive(self.log, self.history, self.clock, Slices(self.clock), pace.of_hub())
        self.replays = Replays(self.history, archive, self.hub, queue, pace.of_hub(), at_once=4)
        self._tasks = [self.loop.create_task(self.replays.run()) for _ in range(2)]
        self._floor = 0

    @property
    def floor(self) -> int:
        return min(self._floor, self.history.floor)

    @property
    def log_floor(self) -> Position | None:
        return self._positions[self._floor - 1] if self._floor else Position(0, 0)

    def take_in(self, record: Record) -> None:
        self.log.put(record)
        super().take_in(record)

    def trim_log(self, count: int) -> None:
        """The log drops so many events, or of all that it has."""
        self._floor = min(self._floor + count, len(self.events))
        if self._floor:
            self.log.trim_to(self._positions[self._floor - 1])

    def turn(self, count: int) -> None:
        """Lets the replays run for some turns of their event loop."""
        for _ in range(count):
            self.loop.run_until_complete(asyncio.sleep(0))

    def settle(self) -> None:
        for _ in range(_MAX_TURNS):
            steps = self.scheduler.run_ready()
            before = self.hub.counters.replayed
            self.turn(_QUIET_TURNS)
            if not steps and before == self.hub.counters.replayed and not self.scheduler.step():
                return
        raise AssertionError("the world does not come to rest")

    def run_for(self, seconds: float) -> None:
        self.settle()
        for _ in range(4):
            super().run_for(seconds / 2)
            self.settle()

    def close(self) -> None:
        """Ends the replays. Raises what they failed with."""
        for task in self._tasks:
            task.cancel()
        ended = self.loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self.loop.close()
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


class Turn(NamedTuple):
    """The replays' event loop has some turns."""

    count: int

    def apply(self, world: World) -> None:
        assert isinstance(world, LogWorld)
        world.turn(self.count)


class TrimLog(NamedTuple):
    """The log drops its oldest events."""

    count: int

    def apply(self, world: World) -> None:
        assert isinstance(world, LogWorld)
        world.trim_log(self.count)
