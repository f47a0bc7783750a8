"""Long work shares one event loop with everybody else."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.runtime.slices import SLICE_SECONDS, Slices
from tests.support.clock import BusyClock
from tests.support.loop import let_others_run, until

STEPS_A_SLICE = 10


@pytest.fixture
def slices() -> Slices:
    return Slices(BusyClock(SLICE_SECONDS / STEPS_A_SLICE))


class Work:
    """Steps that are counted."""

    def __init__(self, count: int) -> None:
        self.done = 0
        self._count = count

    def steps(self) -> Iterator[None]:
        for _ in range(self._count):
            self.done += 1
            yield


async def most_steps_a_turn(works: list[Work], tasks: list["asyncio.Task[None]"]) -> int:
    """How many steps were taken between two turns of the loop, at most, until all tasks are done."""
    most = before = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        now = sum(work.done for work in works)
        most, before = max(most, now - before), now
    return most


async def test_work_without_steps_takes_no_turn(slices: Slices) -> None:
    work = slices.run(iter(()))
    with pytest.raises(StopIteration):
        work.send(None)


@pytest.mark.parametrize("count", [1, 50])
async def test_the_loop_has_its_turn_after_each_slice_however_many_are_at_work(
    slices: Slices, count: int
) -> None:
    works = [Work(100) for _ in range(count)]
    tasks = [asyncio.create_task(slices.run(work.steps())) for work in works]
    most = await most_steps_a_turn(works, tasks)
    assert [work.done for work in works] == [100] * count
    assert most <= STEPS_A_SLICE + 2


async def test_many_short_ones_are_no_long_one(slices: Slices) -> None:
    works = [Work(3) for _ in range(200)]
    tasks = [asyncio.create_task(slices.run(work.steps())) for work in works]
    assert await most_steps_a_turn(works, tasks) <= STEPS_A_SLICE + 2


async def test_who_has_little_to_do_does_not_wait_for_who_has_much(slices: Slices) -> None:
    long, short = Work(100_000), Work(5)
    task = asyncio.create_task(slices.run(long.steps()))
    await let_others_run()
    await slices.run(short.steps())
    assert short.done == 5
    assert long.done < 1000
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_cancelled_takes_no_further_step_and_holds_nobody_up(slices: Slices) -> None:
    gone, stays = Work(100_000), Work(1000)
    going = asyncio.create_task(slices.run(gone.steps()))
    staying = asyncio.create_task(slices.run(stays.steps()))
    await until(lambda: gone.done > 50, "it never began")
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    before = gone.done
    await staying
    assert (going.cancelled(), gone.done, stays.done) == (True, before, 1000)


async def test_items_are_collected_in_their_order(slices: Slices) -> None:
    assert await slices.collect(iter(range(100))) == list(range(100))
