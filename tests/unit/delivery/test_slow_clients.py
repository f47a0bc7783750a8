"""Clients that stopped reading, and those that do not take their bye."""

import pytest

from gateway.delivery.pace import USUAL
from gateway.delivery.slow_clients import SlowClients
from gateway.delivery.subscriber import Subscriber
from tests.support.scheduler import ManualScheduler
from tests.support.transport import RecordingTransport

STALL_SECONDS = 10.0


class Bench:
    """What watches slow clients, and whom it closed."""

    def __init__(self, scheduler: ManualScheduler) -> None:
        self.scheduler = scheduler
        self.stalled: list[Subscriber] = []
        self.overdue: list[Subscriber] = []
        self.slow_clients = SlowClients(scheduler, STALL_SECONDS, self._on_stalled, self._on_overdue, USUAL)

    def _on_stalled(self, subscriber: Subscriber) -> None:
        self.stalled.append(subscriber)
        self.slow_clients.ends(subscriber)

    def _on_overdue(self, subscriber: Subscriber) -> None:
        self.overdue.append(subscriber)
        self.slow_clients.forget(subscriber)

    def subscriber(self) -> tuple[Subscriber, RecordingTransport]:
        transport = RecordingTransport(self.scheduler)
        transport.stop_reading()
        transport.write(b"x" * 100)
        return Subscriber(None, 0, transport), transport


@pytest.fixture
def bench(scheduler: ManualScheduler) -> Bench:
    return Bench(scheduler)


def test_without_anybody_to_look_at_there_is_no_timer(bench: Bench) -> None:
    assert bench.scheduler.next_timer() is None
    subscriber, _ = bench.subscriber()
    bench.slow_clients.lags(subscriber)
    bench.slow_clients.forget(subscriber)
    bench.scheduler.run_for(USUAL.sweep_seconds * 2)
    assert bench.scheduler.next_timer() is None


def test_who_takes_nothing_for_the_stall_time_is_stalled_once(bench: Bench) -> None:
    subscriber, _ = bench.subscriber()
    bench.slow_clients.lags(subscriber)
    assert bench.slow_clients.lagging == 1
    bench.scheduler.run_for(STALL_SECONDS - 0.5)
    assert bench.stalled == []
    bench.scheduler.run_for(USUAL.sweep_seconds)
    assert bench.stalled == [subscriber]
    assert bench.slow_clients.lagging == 0
    bench.scheduler.run_for(100.0)
    assert bench.stalled == [subscriber]


def test_each_byte_taken_gives_the_stall_time_anew(bench: Bench) -> None:
    subscriber, transport = bench.subscriber()
    bench.slow_clients.lags(subscriber)
    for _ in range(10):
        bench.scheduler.run_for(STALL_SECONDS * 0.8)
        transport.read(1)
    assert bench.stalled == []


def test_who_reads_again_is_left_alone(bench: Bench) -> None:
    subscriber, _ = bench.subscriber()
    bench.slow_clients.lags(subscriber)
    bench.scheduler.run_for(1.0)
    bench.slow_clients.forget(subscriber)
    bench.scheduler.run_for(100.0)
    assert bench.stalled == []


def test_who_does_not_take_the_last_frames_is_overdue(bench: Bench) -> None:
    subscriber, transport = bench.subscriber()
    bench.slow_clients.ends(subscriber)
    bench.scheduler.run_for(USUAL.bye_seconds - 0.5)
    transport.read(1)  # a byte now and then does not put the end off
    assert bench.overdue == []
    bench.scheduler.run_for(USUAL.sweep_seconds)
    assert bench.overdue == [subscriber]


def test_who_is_stalled_gets_the_time_of_a_bye_and_no_more(bench: Bench) -> None:
    subscriber, _ = bench.subscriber()
    bench.slow_clients.lags(subscriber)
    bench.scheduler.run_for(STALL_SECONDS + USUAL.bye_seconds + 2 * USUAL.sweep_seconds)
    assert bench.overdue == [subscriber]
    assert bench.scheduler.next_timer() is None


def test_one_that_lags_does_not_put_off_another(bench: Bench) -> None:
    first, _ = bench.subscriber()
    bench.slow_clients.lags(first)
    bench.scheduler.run_for(STALL_SECONDS / 2)
    second, _ = bench.subscriber()
    bench.slow_clients.lags(second)
    bench.scheduler.run_for(STALL_SECONDS / 2 + USUAL.sweep_seconds)
    assert bench.stalled == [first]
    bench.scheduler.run_for(STALL_SECONDS)
    assert bench.stalled == [first, second]
