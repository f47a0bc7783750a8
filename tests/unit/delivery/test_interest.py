"""Who wants to hear of an entity type."""

import pytest
from multidict import MultiDict

from gateway.core.selectors import MAX_VALUES, Selector, parse_selector
from gateway.delivery.group import Groups
from gateway.delivery.interest import RECENT_SECONDS, Interest
from gateway.delivery.wanted_rows import RowsWanted
from gateway.ports.wanted import RowMembers
from tests.support.clock import ManualClock
from tests.support.effort import calls_of

ALL = Selector()
BY_CUSTOMER = RowMembers("order", ("customer",))


def of(entity: str) -> Selector:
    return parse_selector(MultiDict({"entity": entity}), {})


class Bench:
    """The interest in orders and jobs, and how often it was told that there may be more of it."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rows = RowsWanted((BY_CUSTOMER,), clock)
        self.groups = Groups(50, self._tell, self.rows)
        self.interest = Interest(self.groups, clock, ("order", "job"), self.rows, self._tell)
        self.told = 0

    def _tell(self) -> None:
        self.told += 1

    def wanted(self) -> list[str]:
        return [name for name in ("order", "job") if self.interest.wants(name)]


@pytest.fixture
def bench(clock: ManualClock) -> Bench:
    return Bench(clock)


@pytest.mark.parametrize(
    ("entity", "wanted"),
    [("order", ["order"]), ("job:7", ["job"]), ("order:1,job", ["order", "job"]), ("invoice", [])],
)
def test_a_poll_is_interest_in_what_it_could_receive(bench: Bench, entity: str, wanted: list[str]) -> None:
    bench.interest.note(of(entity))
    assert bench.wanted() == wanted
    assert bench.told == bool(wanted)


def test_a_poll_of_everything_is_interest_in_everything(bench: Bench) -> None:
    bench.interest.note(ALL)
    assert bench.wanted() == ["order", "job"]
    assert bench.told == 1


def test_it_lasts_for_some_seconds_after_the_last_poll(bench: Bench) -> None:
    bench.interest.note(of("order"))
    bench.clock.advance(RECENT_SECONDS - 1)
    bench.interest.note(of("order:7"))
    bench.clock.advance(RECENT_SECONDS - 1)
    assert bench.wanted() == ["order"]
    assert bench.told == 1, "nothing was new"
    bench.clock.advance(1)
    assert bench.wanted() == []
    bench.interest.note(of("order"))
    assert (bench.wanted(), bench.told) == (["order"], 2)


def test_a_stream_is_interest_as_long_as_it_is_open(bench: Bench) -> None:
    group = bench.groups.get(of("job"), None)
    assert (bench.wanted(), bench.told) == (["job"], 1)
    bench.groups.release(group)
    assert bench.wanted() == []


def test_however_many_others_poll_a_poll_is_not_forgotten(bench: Bench) -> None:
    bench.interest.note(of("order"))
    for number in range(5000):
        bench.interest.note(of(f"made-up-{number}"))
    assert bench.wanted() == ["order"]


def test_to_ask_costs_the_same_however_many_have_polled_and_for_how_much(bench: Bench) -> None:
    many = of(",".join(f"made-up-{number}:{number}" for number in range(MAX_VALUES)))
    small, large = calls_of(lambda: bench.interest.note(of("job"))), 0
    asked = calls_of(bench.wanted)
    for number in range(2000):
        bench.interest.note(of(f"invoice:{number}"))
    large = calls_of(lambda: bench.interest.note(many))
    assert large <= small
    assert calls_of(bench.wanted) <= asked + 2
