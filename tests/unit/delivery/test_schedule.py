"""What the hub does next, over work that only says that it ran."""

from collections.abc import Callable, Iterator

import pytest

from gateway.delivery.budget import Budget
from gateway.delivery.pace import USUAL
from gateway.delivery.schedule import Schedule
from gateway.runtime.failures import Failures
from tests.support.scheduler import ManualScheduler

COALESCE_SECONDS = 0.005


class Work:
    """Stands for flushes, catch-up and recovery; `done` says what ran, a step at a time."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.is_due = False
        self.flush_steps = 2
        self.flush_raises = False
        self.is_waiting = False

    def next_entries(self) -> list[object]:
        return []

    def run(self, entries: list[object]) -> Iterator[None]:
        self.is_due = False
        for step in range(1, self.flush_steps + 1):
            self.done.append(f"flush {step}")
            if self.flush_raises:
                raise MemoryError
            yield

    def run_some(self) -> None:
        if self.is_waiting:
            self.done.append("catch_up")
            self.is_waiting = False

    def end_before(self, entries: list[object]) -> Iterator[None]:
        return iter(())

    def drop_flush(self) -> Iterator[None]:
        self.done.append("dropped")
        yield

    def steps(self, name: str, count: int = 1, then: Callable[[], None] = lambda: None) -> Iterator[None]:
        for step in range(1, count + 1):
            self.done.append(f"{name} {step}")
            then()
            yield


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def failures(scheduler: ManualScheduler) -> Failures:
    return Failures(scheduler.clock.monotonic)


@pytest.fixture
def schedule(scheduler: ManualScheduler, failures: Failures, work: Work) -> Schedule:
    budget = Budget(USUAL.writes_a_turn)
    return Schedule(scheduler, failures, work, work, work, work, budget, USUAL, COALESCE_SECONDS)  # type: ignore[arg-type]


def test_a_flush_runs_a_step_a_turn_and_others_have_theirs_between(
    scheduler: ManualScheduler, schedule: Schedule, work: Work
) -> None:
    work.is_due = True
    schedule.plan()
    scheduler.call_soon(lambda: work.done.append("another"))
    scheduler.run_ready()
    assert work.done == ["flush 1", "another", "flush 2"]


def test_the_next_flush_waits_for_the_coalescing_window(
    scheduler: ManualScheduler, schedule: Schedule, work: Work
) -> None:
    work.flush_steps = 1
    work.is_due = True
    schedule.plan()
    scheduler.run_ready()
    work.is_due = True
    schedule.plan()
    scheduler.run_for(COALESCE_SECONDS - 0.001)
    assert work.done == ["flush 1"]
    scheduler.run_for(0.001)
    assert work.done == ["flush 1", "flush 1"]


def test_a_hurried_flush_waits_for_nothing(
    scheduler: ManualScheduler, schedule: Schedule, work: Work
) -> None:
    work.flush_steps = 1
    schedule.is_hurried = True
    for _ in range(3):
        work.is_due = True
        schedule.plan()
        scheduler.run_ready()
    assert work.done == ["flush 1"] * 3


def test_hints_are_given_whole_and_never_within_a_flush(
    scheduler: ManualScheduler, schedule: Schedule, work: Work
) -> None:
    work.is_due = True
    schedule.plan()
    scheduler.step()
    schedule.give_hints(work.steps("hints", 2))
    scheduler.run_ready()
    assert work.done == ["flush 1", "flush 2", "hints 1", "hints 2"]


def test_a_flush_that_is_due_comes_between_the_steps_of_a_job(
    scheduler: ManualScheduler, schedule: Schedule, work: Work
) -> None:
    def more() -> None:
        work.is_due = True

    work.flush_steps = 1
    schedule.is_hurried = True
    schedule.add_job("job", work.steps("job", 2, more))
    scheduler.run_ready()
    assert work.done == ["job 1", "flush 1", "job 2", "flush 1"]


def test_catching_up_has_a_share_of_every_turn(
    scheduler: ManualScheduler, schedule: Schedule, work: Work
) -> None:
    work.is_due = work.is_waiting = True
    schedule.plan()
    scheduler.run_ready()
    assert work.done == ["flush 1", "catch_up", "flush 2"]


def test_a_flush_that_raises_is_given_up_and_the_turns_go_on(
    scheduler: ManualScheduler, schedule: Schedule, failures: Failures, work: Work
) -> None:
    work.is_due = work.flush_raises = True
    schedule.add_job("job", work.steps("job"))
    scheduler.run_ready()
    assert work.done == ["flush 1", "dropped", "job 1"]
    assert failures.counts == {"flush": 1}


def test_a_job_that_raises_is_over_and_does_what_it_said_for_that(
    scheduler: ManualScheduler, schedule: Schedule, work: Work
) -> None:
    def fail() -> None:
        raise MemoryError

    schedule.add_job("first", work.steps("first", 3, fail), lambda error: work.steps("instead"))
    schedule.add_job("second", work.steps("second"))
    scheduler.run_ready()
    assert work.done == ["first 1", "instead 1", "second 1"]


def test_no_turn_comes_once_it_is_stopped(scheduler: ManualScheduler, schedule: Schedule, work: Work) -> None:
    work.is_due = True
    schedule.plan()
    schedule.stop()
    scheduler.run_ready()
    assert work.done == []
