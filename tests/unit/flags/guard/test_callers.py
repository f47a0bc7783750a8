"""Who was there: bounded, a sample of all, and each caller once."""

import math
from itertools import count, islice

import pytest

from flags.guard.callers import (
    CALLERS_AN_ADDRESS,
    SAMPLED,
    CallerTable,
    Side,
    is_sampled,
    number_of,
    tag_of,
)
from flags.guard.marks import NEVER, Marks
from flags.guard.who import Who

WINDOW = 60.0
ADA = Who("s:ada")


def marks_of(table: CallerTable, now: float) -> dict[int, tuple[Side, Marks]]:
    return {number: (side, marks) for side, number, marks in table.marks(-math.inf, now)}


def of(table: CallerTable, who: Who, now: float) -> tuple[Side, Marks]:
    return marks_of(table, now)[number_of(who.key)]


@pytest.fixture
def table() -> CallerTable:
    return CallerTable(WINDOW)


def test_one_who_asks_a_thousand_times_is_one(table: CallerTable) -> None:
    for moment in range(1000):
        table.polled(ADA, Side.CONTROL, moment / 1000, failed=False)

    assert len(list(table.marks(-math.inf, 1.0))) == 1


def test_a_poll_says_when_the_caller_was_answered_before(table: CallerTable) -> None:
    first = table.polled(ADA, Side.CONTROL, 1.0, failed=False)
    failed = table.polled(ADA, Side.CONTROL, 2.0, failed=True)
    third = table.polled(ADA, Side.CONTROL, 3.0, failed=False)

    assert (first, failed, third) == (None, None, 1.0)


def test_the_51st_caller_of_an_address_does_not_count(table: CallerTable) -> None:
    for number in range(CALLERS_AN_ADDRESS + 1):
        table.polled(Who(f"k:{number}", "192.0.2.1"), Side.CONTROL, 0.0, failed=True)

    assert len(table) == CALLERS_AN_ADDRESS
    assert number_of(f"k:{CALLERS_AN_ADDRESS}") not in marks_of(table, 0.0)


def test_an_address_that_has_used_itself_up_takes_nothing_from_another(table: CallerTable) -> None:
    for number in range(200):
        table.polled(Who(f"k:{number}", "192.0.2.1"), Side.CONTROL, 0.0, failed=True)
    table.polled(Who("k:other", "192.0.2.2"), Side.CONTROL, 0.0, failed=False)

    assert number_of("k:other") in marks_of(table, 0.0)


def test_callers_let_in_by_name_have_no_such_bound(table: CallerTable) -> None:
    for number in range(200):
        table.polled(Who(f"s:{number}"), Side.CONTROL, 0.0, failed=False)

    assert len(table) == 200


def test_a_hundred_thousand_callers_are_a_bounded_sample_of_them(table: CallerTable) -> None:
    for number in range(100_000):
        table.polled(Who(f"s:{number}"), Side.CONTROL, 0.0, failed=False)

    level = table.levels[Side.CONTROL]
    kept = set(marks_of(table, 0.0))
    assert SAMPLED / 4 < len(table) <= SAMPLED
    assert kept == {
        number for number in map(number_of, (f"s:{i}" for i in range(100_000))) if is_sampled(number, level)
    }


def test_two_nodes_that_see_the_same_callers_keep_the_same(table: CallerTable) -> None:
    other = CallerTable(WINDOW)
    for number in range(20_000):
        table.polled(Who(f"s:{number}"), Side.CONTROL, 0.0, failed=False)
        other.polled(Who(f"s:{19_999 - number}"), Side.CONTROL, 0.0, failed=False)

    assert set(marks_of(table, 0.0)) == set(marks_of(other, 0.0))


def test_a_crowd_on_one_side_leaves_the_other_whole(table: CallerTable) -> None:
    for number in range(20_000):
        table.polled(Who(f"s:{number}"), Side.CONTROL, 0.0, failed=False)
    for number in range(50):
        table.opened(Who(f"s:stream {number}"), Side.TREATED, 0.0)

    assert sum(side is Side.TREATED for side, _ in marks_of(table, 0.0).values()) == 50


def test_a_caller_that_changes_sides_counts_on_the_latest(table: CallerTable) -> None:
    table.polled(ADA, Side.CONTROL, 0.0, failed=False)
    table.opened(ADA, Side.TREATED, 1.0)

    assert [side for side, *_ in table.marks(-math.inf, 1.0)] == [Side.TREATED]


def test_an_open_stream_that_was_acknowledged_begins_anew_in_every_window(table: CallerTable) -> None:
    table.opened(ADA, Side.TREATED, 0.0)
    table.acknowledged(ADA, 1.0)

    assert of(table, ADA, 10 * WINDOW) == (Side.TREATED, Marks(0, seen=0, began=0))


def test_an_open_stream_that_nobody_acknowledged_has_not_begun(table: CallerTable) -> None:
    table.opened(ADA, Side.TREATED, 0.0)

    assert of(table, ADA, WINDOW)[1].began == NEVER


def test_a_stream_that_was_reset_is_a_success_again_a_window_later(table: CallerTable) -> None:
    table.opened(ADA, Side.TREATED, 0.0)
    table.acknowledged(ADA, 0.0)
    table.lost(ADA, 1.0)

    assert of(table, ADA, 2.0)[1].began == 2
    assert of(table, ADA, 2.0 + WINDOW)[1].began == 0


def test_whoever_was_not_seen_for_a_window_is_forgotten(table: CallerTable) -> None:
    table.polled(ADA, Side.CONTROL, 0.0, failed=False)

    assert not list(table.marks(-math.inf, WINDOW + 1))
    assert len(table) == 0


def test_a_closed_stream_is_forgotten_a_window_after(table: CallerTable) -> None:
    table.opened(ADA, Side.TREATED, 0.0)
    table.closed(ADA, 10.0)

    assert list(table.marks(-math.inf, 10.0 + WINDOW - 1))
    assert not list(table.marks(-math.inf, 10.0 + WINDOW + 1))


def test_reports_on_callers_whom_nobody_knows_change_nothing(table: CallerTable) -> None:
    table.acknowledged(ADA, 0.0)
    table.mute(ADA, 0.0)
    table.fell_back(ADA, 0.0)
    table.lost(ADA, 0.0)
    table.closed(ADA, 0.0)

    assert len(table) == 0


def test_one_who_could_open_no_stream_counts_once_and_keeps_its_side(table: CallerTable) -> None:
    table.polled(ADA, Side.TREATED, 0.0, failed=False)
    for moment in range(100):
        table.blocked(ADA, float(moment) / 100)

    side, marks = of(table, ADA, 1.0)
    assert (side, len(table)) == (Side.TREATED, 1)
    assert marks.fell_back == 0


def test_an_address_has_a_tag_and_a_name_has_none() -> None:
    assert tag_of(None) == 0
    assert 1 <= tag_of("192.0.2.1") <= 65_535
    assert tag_of("192.0.2.1") == tag_of("192.0.2.1") != tag_of("192.0.2.2")


def crowded(seconds: float = 60.0, callers: int = 3 * SAMPLED) -> CallerTable:
    """A table whose control had more callers at 1 s than are kept."""
    table = CallerTable(seconds)
    for number in range(callers):
        table.polled(Who(f"s:{number}"), Side.CONTROL, 1.0, failed=False)
    return table


def test_a_sample_grows_again_once_there_are_few_callers() -> None:
    table = crowded()
    assert table.levels[Side.CONTROL] > 0
    for second in range(1, 4):
        now = 100.0 * second
        for number in range(100):
            table.polled(Who(f"s:{number}"), Side.CONTROL, now, failed=False)
        assert len(list(table.marks(0.0, now))) <= 100
    for number in range(100):
        table.polled(Who(f"s:{number}"), Side.CONTROL, 301.0, failed=False)
    assert (table.levels[Side.CONTROL], len(list(table.marks(0.0, 301.0)))) == (0, 100)


def test_who_comes_to_a_side_of_which_it_is_no_sample_is_not_kept_there() -> None:
    table = crowded()
    level = table.levels[Side.CONTROL]
    strangers = (Who(f"s:other {number}") for number in count())
    unfit = (who for who in strangers if not is_sampled(number_of(who.key), level))
    for who in islice(unfit, 10):
        table.polled(who, Side.TREATED, 1.0, failed=False)
        table.polled(who, Side.CONTROL, 1.0, failed=True)
    found = [marks for side, _, marks in table.marks(0.0, 1.0) if side is Side.TREATED or marks.failed == 0]
    assert found == []
