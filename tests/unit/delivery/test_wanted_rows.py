"""Which rows streams and polls want."""

import pytest
from multidict import MultiDict

from gateway.core.selectors import Selector, parse_selector
from gateway.delivery.group import Groups
from gateway.delivery.interest import RECENT_SECONDS, Interest
from gateway.delivery.wanted_rows import MAX_POLLED, RowsWanted
from gateway.ports.wanted import RowMembers
from tests.support.clock import ManualClock

BY_CUSTOMER = RowMembers("order", ("customer",))


def of(*customers: object) -> Selector:
    listed = ",".join(map(str, customers))
    query = MultiDict({"entity": "order", "filter": f"customer=in.({listed})"})
    return parse_selector(query, {}, {"customer"})


class Bench:
    def __init__(self, clock: ManualClock) -> None:
        self.told = 0
        self.rows = RowsWanted([BY_CUSTOMER], clock)
        self.groups = Groups(50, self._tell, self.rows)
        self.interest = Interest(self.groups, clock, ("order",), self.rows, self._tell)

    def _tell(self) -> None:
        self.told += 1

    def wanted(self) -> list[str]:
        return [value for value in "789" if self.rows.wants_row(BY_CUSTOMER, (value,))]

    def new(self) -> list[str]:
        return sorted(value for (value,) in self.rows.take_new(BY_CUSTOMER))


@pytest.fixture
def bench(clock: ManualClock) -> Bench:
    return Bench(clock)


def test_readers_want_what_their_filters_name_until_the_last_has_gone(bench: Bench) -> None:
    one, other = bench.groups.get(of(7), None), bench.groups.get(of(7, 8), None)
    assert (bench.wanted(), bench.new(), bench.new()) == (["7", "8"], ["7", "8"], [])
    bench.groups.release(one)
    assert bench.wanted() == ["7", "8"]
    bench.groups.release(other)
    assert bench.wanted() == []


def test_a_reader_without_such_a_filter_wants_no_row(bench: Bench) -> None:
    bench.groups.get(parse_selector(MultiDict({"entity": "order"}), {}), None)
    assert (bench.wanted(), bench.new()) == ([], [])


def test_a_poll_wants_them_for_some_seconds(bench: Bench, clock: ManualClock) -> None:
    bench.interest.note(of(7))
    clock.advance(RECENT_SECONDS - 1)
    assert (bench.wanted(), bench.new()) == (["7"], ["7"])
    bench.interest.note(of(7))
    assert bench.new() == []
    clock.advance(RECENT_SECONDS)
    assert bench.wanted() == []


def test_a_poll_for_a_new_row_wakes_although_the_type_is_polled_already(bench: Bench) -> None:
    bench.interest.note(of(7))
    bench.interest.note(of(7))
    assert bench.told == 1
    bench.interest.note(of(8))
    assert bench.told == 2


def test_of_polls_as_many_rows_are_remembered_and_no_more(bench: Bench) -> None:
    for number in range(100, 100 + MAX_POLLED):
        bench.interest.note(of(number))
    bench.interest.note(of(7))
    polled = [n for n in range(100, 100 + MAX_POLLED) if bench.rows.wants_row(BY_CUSTOMER, (str(n),))]
    assert len(polled) == MAX_POLLED - 1
    assert bench.wanted() == ["7"]
