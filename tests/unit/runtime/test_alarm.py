"""One callback at the earliest time that anybody asked for."""

import pytest

from gateway.runtime.alarm import Alarm
from tests.support.scheduler import ManualScheduler


class Rung:
    """When an alarm rang."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        self.start = scheduler.time()
        self.times: list[float] = []
        self.alarm = Alarm(scheduler, lambda: self.times.append(round(scheduler.time() - self.start, 6)))

    def set(self, seconds: float) -> None:
        self.alarm.set(self.start + seconds)


@pytest.fixture
def rung(scheduler: ManualScheduler) -> Rung:
    return Rung(scheduler)


def test_it_rings_once_at_the_time_set(rung: Rung, scheduler: ManualScheduler) -> None:
    rung.set(2.0)
    scheduler.run_for(1.9)
    assert rung.times == []
    scheduler.run_for(10.0)
    assert rung.times == [2.0]


def test_it_rings_at_the_earliest_of_several_times(rung: Rung, scheduler: ManualScheduler) -> None:
    for seconds in (3.0, 1.0, 2.0):
        rung.set(seconds)
    scheduler.run_for(10.0)
    assert rung.times == [1.0]


def test_a_time_that_has_passed_rings_in_the_next_step(rung: Rung, scheduler: ManualScheduler) -> None:
    rung.set(-5.0)
    assert rung.times == [], "it must not ring within set"
    assert scheduler.step()
    assert rung.times == [0.0]


def test_a_time_that_has_passed_goes_before_one_that_was_set(rung: Rung, scheduler: ManualScheduler) -> None:
    rung.set(3.0)
    rung.alarm.set(0.0)
    scheduler.run_for(10.0)
    assert rung.times == [0.0]


def test_it_can_be_set_again_after_it_rang(rung: Rung, scheduler: ManualScheduler) -> None:
    rung.set(1.0)
    scheduler.run_for(2.0)
    rung.set(5.0)
    scheduler.run_for(10.0)
    assert rung.times == [1.0, 5.0]


def test_its_callback_may_set_it(scheduler: ManualScheduler) -> None:
    times: list[float] = []

    def again() -> None:
        times.append(scheduler.time())
        if len(times) < 3:
            alarm.set(scheduler.time() + 1.0)

    alarm = Alarm(scheduler, again)
    alarm.set(scheduler.time())
    scheduler.run_for(10.0)
    assert [round(at - times[0], 6) for at in times] == [0.0, 1.0, 2.0]


def test_a_cancelled_alarm_does_not_ring_until_it_is_set_again(
    rung: Rung, scheduler: ManualScheduler
) -> None:
    rung.set(1.0)
    rung.alarm.cancel()
    scheduler.run_for(2.0)
    assert rung.times == []
    rung.set(4.0)
    scheduler.run_for(10.0)
    assert rung.times == [4.0]


def test_cancelling_one_that_was_never_set_does_nothing(rung: Rung) -> None:
    rung.alarm.cancel()
