"""gateway/delivery/state/asking.py: states are asked for until they are known, or nobody waits."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway.core.events import ORIGIN, Cursor
from gateway.delivery.state.asking import LONGEST_DELAY_SECONDS, StateAsking
from gateway.delivery.state.queue import StateQueue
from gateway.delivery.state.shared import SharedStates
from gateway.ports.state import StateItem, StateUnknown
from gateway.runtime.slices import Slices
from tests.support.given_state import GivenState
from tests.support.loop import let_others_run, until
from tests.support.node import Node, Reader
from tests.support.scheduler import ManualScheduler


class Bench:
    """A node, and who asks a given source for the states that its streams wait for."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        queue = StateQueue(lambda question: self.states.knows(question))
        self.node = Node(scheduler, states=queue)
        self.source = GivenState(Cursor("e", ORIGIN), order=[StateItem("1", b"{}")], job=[])
        clock = scheduler.clock
        self.states = SharedStates(self.source, self._place_of, self.node.history, clock, Slices(clock))
        self.pauses: list[float] = []
        self.may_go_on = asyncio.Event()
        self.asking = StateAsking(
            self.states, self.node.hub, queue, Slices(clock), self._pause, draw=lambda low, high: high
        )

    async def _place_of(self, text: str) -> int:
        return 0

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.may_go_on.wait()
        self.may_go_on.clear()

    async def paused(self, times: int) -> None:
        await until(lambda: len(self.pauses) == times, f"{times} pauses")

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.asking.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def gets_its_state(self, reader: Reader) -> None:
        def has_come() -> bool:
            self.node.scheduler.run_ready()
            return bool(reader.frames("state"))

        await until(has_come, "the state comes")


@pytest.fixture
def bench(scheduler: ManualScheduler) -> Bench:
    return Bench(scheduler)


def connect(bench: Bench, query: str = "entity=order") -> Reader:
    reader = bench.node.connect(query, with_state=True)
    bench.node.scheduler.run_ready()
    return reader


async def test_a_hundred_streams_cost_one_reading(bench):
    readers = [connect(bench) for _ in range(100)]
    async with bench.running():
        for reader in readers:
            await bench.gets_its_state(reader)
    assert bench.source.reads == 1


async def test_what_is_not_known_is_asked_for_again_ever_more_seldom(bench):
    bench.source.failure = StateUnknown("not yet")
    reader = connect(bench)
    async with bench.running():
        for times in range(1, 6):
            await bench.paused(times)
            bench.may_go_on.set()
        await bench.paused(6)
        bench.source.failure = None
        bench.may_go_on.set()
        await bench.gets_its_state(reader)
    assert bench.pauses[:3] == [1.0, 2.0, 4.0]
    assert bench.pauses[-1] == LONGEST_DELAY_SECONDS


async def test_one_question_does_not_wait_for_another(bench):
    bench.source.failure = StateUnknown("not yet")
    connect(bench)
    async with bench.running():
        await bench.paused(1)
        bench.source.failure = None
        await bench.gets_its_state(connect(bench, "entity=job"))


async def test_what_nobody_waits_for_any_more_is_not_asked_for(bench):
    bench.source.failure = StateUnknown("not yet")
    reader = connect(bench)
    async with bench.running():
        await bench.paused(1)
        reader.transport.vanish()
        bench.may_go_on.set()
        await let_others_run()
        assert bench.source.reads == 1
        bench.source.failure = None
        await bench.gets_its_state(connect(bench))


async def test_what_turns_out_to_be_unknown_is_told(bench):
    reader = connect(bench)
    del bench.source.items["order"]
    async with bench.running():

        def is_told() -> bool:
            bench.node.scheduler.run_ready()
            return bool(reader.frames("reset"))

        await until(is_told, "it is told")
    assert reader.frames("reset")[0].data["state"] is False


async def test_what_nobody_foresaw_is_counted_and_the_others_get_theirs(bench):
    reader = connect(bench)
    bench.source.items["order"] = [StateItem("1", b"no JSON")]
    async with bench.running():
        await bench.paused(1)
        assert bench.node.hub.failures.counts["state"] == 1
        await bench.gets_its_state(connect(bench, "entity=job"))
        bench.source.items["order"] = []
        bench.may_go_on.set()
        await bench.gets_its_state(reader)


async def test_who_begins_to_ask_again_asks_for_what_is_waited_for_already(bench):
    bench.source.gate = asyncio.Event()
    reader = connect(bench)
    async with bench.running():
        await until(lambda: bench.source.reads == 1, "it is asked")
    bench.source.gate.set()
    async with bench.running():
        await bench.gets_its_state(reader)
