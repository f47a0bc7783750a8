"""gateway/runtime/unattended.py: work outlives whoever asked for it, and its failure is heard of."""

import asyncio
import gc
from typing import Any

import pytest

from gateway.runtime.unattended import end_all, to_its_end
from tests.support.loop import let_others_run, until


class Work:
    """Waits until it may go on; then it gives 7, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_end = asyncio.Event()
        self.error = error
        self.has_ended = False
        self.unheard: list[BaseException] = []

    def begin(self) -> "asyncio.Task[int]":
        return asyncio.create_task(to_its_end(self._work(), unheard=self.unheard.append))

    async def _work(self) -> int:
        await self.may_end.wait()
        self.has_ended = True
        if self.error is not None:
            raise self.error
        return 7


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """What the event loop had no better place for."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


async def test_who_stays_gets_what_the_work_gives() -> None:
    work = Work()
    asking = work.begin()
    work.may_end.set()
    assert await asking == 7


async def test_who_stays_gets_the_error_and_nobody_else_does() -> None:
    work = Work(ValueError("no"))
    asking = work.begin()
    work.may_end.set()
    with pytest.raises(ValueError, match="no"):
        await asking
    assert work.unheard == []


@pytest.mark.parametrize("error", [None, ValueError("no")])
async def test_work_goes_on_when_the_caller_is_gone_and_its_failure_is_heard_of(
    error: Exception | None, complaints: list[dict[str, Any]]
) -> None:
    work = Work(error)
    asking = work.begin()
    await let_others_run()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    work.may_end.set()
    await let_others_run()
    gc.collect()

    assert work.has_ended
    assert work.unheard == ([] if error is None else [error])
    assert complaints == []


async def test_tasks_that_are_ended_leave_no_complaint_whether_they_had_failed_or_not(
    complaints: list[dict[str, Any]],
) -> None:
    failing, waiting = Work(ValueError("no")), Work()
    tasks = [failing.begin(), waiting.begin()]
    failing.may_end.set()
    await until(tasks[0].done, "one has failed")
    await end_all(*tasks)
    assert tasks[1].cancelled()
    del tasks
    gc.collect()

    assert complaints == []


async def test_what_lost_its_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while lost < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1

    task = asyncio.create_task(deaf())
    await let_others_run()
    await end_all(task, again_seconds=0.0)

    assert (task.done(), lost) == (True, 3)
