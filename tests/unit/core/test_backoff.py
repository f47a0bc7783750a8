"""Delays between attempts: exponential, full jitter, capped."""

from collections.abc import Callable

import pytest

from gateway.core.backoff import Backoff


def recording(bounds: list[tuple[float, float]]) -> Callable[[float, float], float]:
    def draw(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    return draw


def test_the_bound_doubles_with_each_failure_up_to_the_cap() -> None:
    bounds: list[tuple[float, float]] = []
    backoff = Backoff(0.5, 3.0, recording(bounds))
    delays = [backoff.next() for _ in range(5)]
    assert delays == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert [low for low, _ in bounds] == [0.0] * 5


def test_the_first_delay_is_capped_too() -> None:
    assert Backoff(10.0, 1.0, lambda low, high: high).next() == 1.0


def test_a_reset_begins_again_at_the_base() -> None:
    backoff = Backoff(0.5, 30.0, lambda low, high: high)
    for _ in range(4):
        backoff.next()
    assert backoff.failures == 4
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.next() == 0.5


def test_ten_thousand_failures_do_not_overflow() -> None:
    backoff = Backoff(0.1, 10.0, lambda low, high: high)
    assert max(backoff.next() for _ in range(10_000)) == 10.0


@pytest.mark.parametrize("cap", [0.2, 5.0])
def test_chance_stays_within_zero_and_the_cap(cap: float) -> None:
    backoff = Backoff(0.1, cap)
    assert all(0.0 <= backoff.next() <= cap for _ in range(200))
