"""A parity lane, and what may happen to it."""

import asyncio
from collections.abc import Callable

from flags.decide.stages import Stage
from gateway.core.events import ORIGIN
from gateway.migration.parity_states import BegunBy, LaneSignal, LaneState
from gateway.ports.upstreams import Snapshot
from gateway.runtime.leases import EveryLease
from gateway.runtime.slices import SLICE_SECONDS
from tests.support.clock import BusyClock
from tests.support.parity_node import SETTLE, Node
from tests.support.shared_store import MemorySharedStore

STEPS = [
    *(stage.value for stage in Stage),
    *("push", "poll", "serve", "poll ahead", "poll unreadable", "settle", "turn", "turn", "rearm"),
    *("doubted while comparing", "new epoch", "trimmed", "lease", "no lease"),
]


class TakenAway(EveryLease):
    """All leases, until another node has them all."""

    here = True

    def holds(self, name: str) -> bool:
        return self.here


class World:
    """One lane, whose sampler is run again wherever it ends."""

    def __init__(self, seen: Callable[[LaneState, LaneSignal], None]) -> None:
        # A step of work takes a good part of a slice: something may happen in the middle of any of it.
        clock = BusyClock(SLICE_SECONDS / 3)
        self.leases = TakenAway(MemorySharedStore(clock))
        self.node = Node(clock, max_events=4, leases=self.leases)
        self.ends: list[BaseException | None] = []
        self.epochs = 1
        lane, move = self.node.lane, self.node.lane._signal

        def signal(signal: LaneSignal) -> None:
            seen(lane.state, signal)
            move(signal)

        lane._signal = signal  # type: ignore[method-assign]
        self.node.lists("A", orderStage="open")
        self.latest = self.node.answer()
        self.task = asyncio.create_task(self.node.sampler.run())

    def rearm(self, snapshot: Snapshot | None = None) -> None:
        self.node.lane.begin_again(BegunBy.REARM)
        self.node.sampler.wake()

    async def step(self, step: str) -> None:
        node, epoch = self.node, f"e{self.epochs}"
        match step:
            case "push":
                node.push("A", orderStage="paid")
            case "poll":
                self.latest = node.polls(epoch=epoch)
            case "poll ahead":
                node.polls(position=node.history.head_position._replace(minor=99), epoch=epoch)
            case "poll unreadable":
                node.unreadable = node.polls(epoch=epoch)
            case "serve":
                node.lane.served(self.latest)
            case "settle":
                node.clock.advance(SETTLE)
            case "turn":
                await asyncio.sleep(0)
            case "rearm":
                self.rearm()
            case "doubted while comparing":
                node.on_read = self.rearm
            case "new epoch":
                self.epochs += 1
                node.history.open(f"e{self.epochs}", ORIGIN)
                node.sampler.wake()
            case "lease" | "no lease":
                self.leases.here = step == "lease"
                node.sampler.wake()
            case "trimmed":
                node.history.trim(node.clock.monotonic(), node.history.head)
            case stage:
                node.in_stage(Stage(stage))
        if self.task.done():
            self.ends += await asyncio.gather(self.task, return_exceptions=True)
            self.task = asyncio.create_task(node.sampler.run())

    async def close(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        self.task.cancel()
        self.ends += await asyncio.gather(self.task, return_exceptions=True)


async def pairs_of(steps: list[str]) -> set[tuple[LaneState, LaneSignal]]:
    """What the lane went through; nothing of it was an error of its own."""
    seen: set[tuple[LaneState, LaneSignal]] = set()
    world = World(lambda state, signal: seen.add((state, signal)))
    for step in steps:
        await world.step(step)
    await world.close()
    assert all(isinstance(end, asyncio.CancelledError) or "unreadable" in str(end) for end in world.ends)
    return seen
