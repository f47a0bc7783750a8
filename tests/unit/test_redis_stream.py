"""What a reader of the stream concludes from what it finds there."""

import pytest

from adapters.redis.stream import Entry, Hole, Mark, State, before, hole, is_lost, number_at, to_entries
from gateway.errors import LogError, TrimmedError
from gateway.events import Position

MAX = 2**64 - 1


def at(number: int) -> Position:
    return Position(number * 10, 0)


def entry(number: int) -> Entry:
    return Entry(at(number), number, b"{}")


def state(number: int = 9, floor: int = 3) -> State:
    return State("e", at(number), number, at(floor), floor, is_relayed=False)


@pytest.mark.parametrize(
    ("position", "earlier"),
    [((5, 7), (5, 6)), ((5, 0), (4, MAX)), ((MAX, MAX), (MAX, MAX - 1)), ((0, 1), (0, 0)), ((0, 0), (0, 0))],
)
def test_the_position_before_is_exact_over_all_64_bits(
    position: tuple[int, int], earlier: tuple[int, int]
) -> None:
    assert before(Position(*position)) == Position(*earlier)


def test_a_reader_goes_on_from_the_floor_from_an_event_that_is_held_and_from_ahead() -> None:
    assert number_at(state(), at(3), None) == 3
    assert number_at(state(), at(5), entry(5)) == 5
    assert number_at(state(), at(10), None) is None


@pytest.mark.parametrize(
    ("after", "own"),
    [(at(2), None), (at(2), entry(2)), (at(5), None), (Position(55, 0), None), (Position(30, 1), None)],
)
def test_a_reader_goes_on_from_nowhere_else(after: Position, own: Entry | None) -> None:
    with pytest.raises(TrimmedError):
        number_at(state(), after, own)


def test_numbers_that_follow_one_another_leave_no_hole() -> None:
    assert hole(state(), 6, [entry(7), entry(8), entry(9)], 10) is None
    assert hole(state(), 6, [entry(7), entry(8)], 2) is None
    assert hole(state(), 9, [], 10) is None


def test_a_missing_number_is_a_hole_up_to_the_entry_that_follows() -> None:
    assert hole(state(), 5, [entry(6), entry(9)], 10) == Hole(at(9), Position(89, MAX), 8)
    assert hole(state(), 5, [entry(7)], 1) == Hole(at(7), Position(69, MAX), 6)


def test_missing_numbers_at_the_end_are_a_hole_up_to_the_head() -> None:
    assert hole(state(), 5, [entry(6)], 10) == Hole(None, at(9), 9)


@pytest.mark.parametrize("found", [entry(6), Entry(at(7), 7, b""), None])
def test_a_log_in_which_a_known_event_was_only_trimmed_or_deleted_is_not_lost(found: Entry | None) -> None:
    assert not is_lost(state(), Mark(at(6), 6), found)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (state(5), None),
        (State("e", at(9), 5, at(3), 3, is_relayed=False), entry(9)),
        (state(), Entry(at(6), 5, b"")),
        (state(), Entry(at(7), 6, b"")),
    ],
)
def test_a_log_that_ends_before_a_known_event_or_gave_its_number_away_has_lost_it(
    now: State, found: Entry | None
) -> None:
    assert is_lost(now, Mark(at(6), 6), found)


@pytest.mark.parametrize("fields", [{}, {b"x": b"1 2 {}"}, {b"e": b"{}"}, {b"e": b"x 2 {}"}])
def test_an_entry_of_somebody_else_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(LogError, match="1-0 of the log's stream was not written by Tidegate"):
        to_entries([(b"1-0", fields)])
