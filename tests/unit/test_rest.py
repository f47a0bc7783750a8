"""The pause after a flush."""

import pytest

from gateway.rest import LOOK_SECONDS, Rest
from tests.support.clock import ManualClock


@pytest.fixture
def rest(clock: ManualClock) -> Rest:
    return Rest(clock)


def test_there_is_none_before_it_begins(rest: Rest) -> None:
    assert rest.over_at(5.0) == 5.0


def test_it_lasts_while_others_work(clock: ManualClock, rest: Rest) -> None:
    now = 100.0
    rest.begin(now, 0.0101)
    looks = []
    while (at := rest.over_at(now)) > now:
        looks.append(round(at - 100.0, 4))
        clock.advance(at - now)
        now = at
    assert looks == [0.002, 0.004, 0.006, 0.008, 0.01, 0.0101]


@pytest.mark.parametrize(("worked", "is_over"), [(0.0, True), (0.4, True), (0.6, False), (1.0, False)])
def test_it_is_over_where_others_use_less_than_half_of_it(
    clock: ManualClock, rest: Rest, worked: float, is_over: bool
) -> None:
    rest.begin(100.0, 1.0)
    clock.advance(worked * LOOK_SECONDS)
    now = 100.0 + LOOK_SECONDS
    assert (rest.over_at(now) == now) is is_over


def test_it_can_be_ended(rest: Rest) -> None:
    rest.begin(100.0, 1.0)
    rest.end()
    assert rest.over_at(100.001) == 100.001
