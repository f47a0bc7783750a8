"""Long-lived tasks: started again, counted, logged."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

import pytest

from gateway.core.backoff import Backoff
from gateway.core.errors import LogError
from gateway.runtime.outage import Outage
from gateway.runtime.supervisor import HEALTHY_SECONDS, LONGEST_DELAY_SECONDS, Supervisor
from tests.support.clock import ManualClock
from tests.support.loop import let_others_run, until

AT_ONCE = partial(Backoff, 0.0)


def hasty(
    now: Callable[[], float] = time.monotonic,
    outage: Outage | None = None,
    backoff: Callable[[float], Backoff] = AT_ONCE,
) -> Supervisor:
    """One that starts again without delay, and cancels again at once."""
    return Supervisor(now, outage, backoff, again_seconds=0.0)


class Work:
    """Fails a number of times, then waits to be told that it is over."""

    def __init__(self, failures: int = 0, kind: Callable[[str], Exception] = OSError) -> None:
        self.failures = failures
        self.kind = kind
        self.starts = 0
        self.was_cancelled = False
        self.over = asyncio.Event()

    async def __call__(self) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            raise self.kind(f"failure {self.starts}")
        try:
            await self.over.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


async def test_work_that_returns_is_over() -> None:
    supervisor, work = hasty(), Work()
    work.over.set()
    supervisor.run("w", work)
    await until(lambda: work.starts == 1, "the work ran")
    await let_others_run()
    assert work.starts == 1
    assert supervisor.failures.total() == 0
    await supervisor.close()


async def test_work_that_fails_is_started_again_and_counted() -> None:
    supervisor, work = hasty(), Work(failures=3)
    supervisor.run("w", work)
    await until(lambda: work.starts == 4, "the work was started again each time")
    assert supervisor.failures == {"w": 3}
    await supervisor.close()


async def test_a_failure_is_logged_with_the_tasks_name_and_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor, work = hasty(), Work(failures=1)
    with caplog.at_level(logging.ERROR):
        supervisor.run("follower", work)
        await until(lambda: work.starts == 2, "the work was started again")
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno) == ("task_failed", logging.ERROR)
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "failure 1"
    fields = record.__dict__["fields"]
    assert fields["task"] == "follower"
    assert str(fields["error"]) == "failure 1"
    assert fields["retry_seconds"] == 0.0
    await supervisor.close()


async def test_a_task_that_fails_does_not_disturb_another() -> None:
    supervisor, bad, good = hasty(), Work(failures=10**9), Work()
    supervisor.run("bad", bad)
    supervisor.run("good", good)
    await until(lambda: bad.starts > 5, "the bad one kept failing")
    assert good.starts == 1
    assert supervisor.failures["good"] == 0
    await supervisor.close()


async def test_close_cancels_every_task_and_waits_for_it() -> None:
    supervisor, works = hasty(), [Work(), Work()]
    for number, work in enumerate(works):
        supervisor.run(str(number), work)
    await until(lambda: all(work.starts for work in works), "the work ran")
    await supervisor.close()
    assert all(work.was_cancelled for work in works)
    assert supervisor.failures.total() == 0, "an end that was asked for is no failure"


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    supervisor, lost = hasty(), 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    supervisor.run("deaf", deaf)
    await let_others_run()
    await supervisor.close()

    assert lost == 3


async def test_closing_twice_does_nothing() -> None:
    supervisor = hasty()
    supervisor.run("w", Work())
    await supervisor.close()
    await supervisor.close()


async def test_a_task_that_was_healthy_for_long_is_started_again_as_after_its_first_failure(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    given: list[int] = []

    class CountingBackoff(Backoff):
        """Notes how many failures in a row each delay was for; no delay takes time."""

        def next(self) -> float:
            super().next()
            given.append(self.failures)
            return 0.0

    supervisor = hasty(clock.monotonic, backoff=partial(CountingBackoff, 0.1))
    lives = iter([0.0, 0.0, HEALTHY_SECONDS, 0.0])

    async def work() -> None:
        seconds = next(lives, None)
        if seconds is not None:
            clock.advance(seconds)
            raise OSError("it failed")

    with caplog.at_level(logging.ERROR):
        supervisor.run("w", work)
        await until(lambda: supervisor.failures["w"] == 4, "it failed each time")
    assert given == [1, 2, 1, 2]
    await supervisor.close()


async def test_a_log_that_is_out_of_reach_is_no_failure_and_tried_again_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor, work = hasty(), Work(failures=5, kind=LogError)
    with caplog.at_level(logging.DEBUG, "gateway"):
        supervisor.run("replay-1", work)
        await until(lambda: work.starts == 6, "the work was started again each time")
    assert (supervisor.failures, supervisor.retries) == ({"replay-1": 0}, {"replay-1": 5})
    assert caplog.messages == []
    await supervisor.close()


@pytest.mark.parametrize("told", [False, True])
async def test_a_task_that_gets_nowhere_says_so_once_a_minute_unless_the_outage_is_told_of(
    told: bool, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    outage = Outage(logging.getLogger("outage"), "log", now=clock.monotonic)
    if told:
        outage.failed(error="refused")
    supervisor = hasty(clock.monotonic, outage)

    async def work() -> None:
        clock.advance(5.0)
        raise LogError("The server is gone.")

    with caplog.at_level(logging.DEBUG, "gateway"):
        supervisor.run("replay-1", work)
        await until(lambda: supervisor.retries["replay-1"] >= 30, "it failed for 150 seconds")
    await supervisor.close()
    lines = [record for record in caplog.records if record.name.startswith("gateway")]
    assert [record.getMessage() for record in lines] == ([] if told else ["task_held_up"] * 2)
    for record in lines:
        assert record.__dict__["fields"]["task"] == "replay-1"


@pytest.mark.parametrize(("kind", "longest"), [(LogError, 2.0), (OSError, LONGEST_DELAY_SECONDS)])
async def test_a_log_that_is_out_of_reach_is_looked_for_every_two_seconds_at_least(
    kind: Callable[[str], Exception], longest: float
) -> None:
    """Until it is found, this node's streams are quiet, although its server may be there again."""
    delays: list[float] = []

    class LongestBackoff(Backoff):
        def next(self) -> float:
            delays.append(super().next())
            return 0.0

    supervisor, work = hasty(backoff=partial(LongestBackoff, 0.1, draw=max)), Work(failures=12, kind=kind)
    supervisor.run("follower", work)
    await until(lambda: work.starts == 13, "the work was started again each time")
    await supervisor.close()
    assert (delays[:4], delays[-1]) == (pytest.approx([0.1, 0.2, 0.4, 0.8]), longest)
