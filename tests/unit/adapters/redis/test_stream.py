"""What a reader of the stream concludes from what it finds there."""

import pytest

from adapters.redis.stream import (
    STATE_FIELDS,
    Hole,
    KnownEvent,
    StreamEntry,
    StreamState,
    before,
    holds,
    hole,
    is_inherited,
    number_at,
    to_entries,
    to_record,
    to_state,
)
from gateway.core.errors import LogError, TrimmedError, UnknownPosition
from gateway.core.events import Position
from gateway.core.log_payload import to_payload
from tests.support.events import a_record, an_event

MAX = 2**64 - 1
CAME_MS = 1_732_125_600_123


def at(number: int) -> Position:
    return Position(number * 10, 0)


def entry(number: int) -> StreamEntry:
    return StreamEntry(at(number), number, CAME_MS, b"{}")


def state(number: int = 9, floor: int = 3) -> StreamState:
    return StreamState("e", at(number), number, at(floor), floor, is_relayed=False)


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


@pytest.mark.parametrize("own", [None, entry(2)])
def test_below_the_floor_everything_was_trimmed(own: StreamEntry | None) -> None:
    with pytest.raises(TrimmedError):
        number_at(state(), at(2), own)


@pytest.mark.parametrize("after", [at(5), Position(55, 0), Position(30, 1), Position(89, MAX)])
def test_a_position_between_floor_and_head_at_which_nothing_stands_is_unknown(after: Position) -> None:
    with pytest.raises(UnknownPosition):
        number_at(state(), after, None)


def test_numbers_that_follow_one_another_leave_no_hole() -> None:
    assert hole(state(), 6, [entry(7), entry(8), entry(9)], 10) is None
    assert hole(state(), 6, [entry(7), entry(8)], 2) is None
    assert hole(state(), 9, [], 10) is None


def test_a_missing_number_is_a_hole_up_to_the_entry_that_follows() -> None:
    assert hole(state(), 5, [entry(6), entry(9)], 10) == Hole(at(9), Position(89, MAX), 8)
    assert hole(state(), 5, [entry(7)], 1) == Hole(at(7), Position(69, MAX), 6)


def test_missing_numbers_at_the_end_are_a_hole_up_to_the_head() -> None:
    assert hole(state(), 5, [entry(6)], 10) == Hole(None, at(9), 9)


def known(number: int, payload: bytes | None = b"{}") -> KnownEvent:
    return KnownEvent(at(number), number, payload, seen_at=0.0)


def test_a_log_holds_a_known_event_where_that_stands_or_was_trimmed() -> None:
    assert holds(state(), known(6), entry(6))
    assert holds(state(), known(6, None), entry(6))
    assert holds(state(), known(3), None)
    assert holds(state(), known(2), None)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        pytest.param(state(5), None, id="it ends before"),
        pytest.param(state(20), None, id="it is longer, and lacks it all the same"),
        pytest.param(state(), StreamEntry(at(6), 5, CAME_MS, b"{}"), id="another number"),
        pytest.param(
            state(),
            StreamEntry(at(6), 6, CAME_MS, b"[]"),
            id="another event at the same place with the same number",
        ),
        pytest.param(
            StreamState("e", at(9), 9, at(7), 5, is_relayed=False), None, id="another was trimmed there"
        ),
    ],
)
def test_a_log_without_exactly_the_known_event_lost_it_however_long_it_is(
    now: StreamState, found: StreamEntry | None
) -> None:
    assert not holds(now, known(6), found)


def test_a_record_says_when_its_entry_was_appended() -> None:
    payload = to_payload(an_event("order:1"))
    (found,) = to_entries([(b"7-1", {b"e": b"3 %d %b" % (CAME_MS, payload)})])
    record = to_record(found)
    assert record == a_record(Position(7, 1), an_event("order:1"))
    assert record.recorded_ms == CAME_MS


NOBODY = "0" * 40


@pytest.mark.parametrize(
    ("noted", "own", "former", "expected"),
    [
        pytest.param("a", "a", NOBODY, False, id="the same server"),
        pytest.param("a", "b", NOBODY, False, id="started again with its data, or left by its replicas"),
        pytest.param("a", "b", "a", True, id="promoted"),
        pytest.param("a", "c", "b", True, id="promoted twice"),
        pytest.param("b", "b", "a", False, id="promoted before the epoch began"),
        pytest.param(None, "b", "a", False, id="a log of a version that noted no server"),
    ],
)
def test_a_server_that_took_anothers_place_has_the_epoch_of_that_one(
    noted: str | None, own: str, former: str, expected: bool
) -> None:
    now = state()._replace(server=noted)
    assert is_inherited(now, {"master_replid": own, "master_replid2": former}) is expected


def test_a_state_of_a_version_before_is_its_own_origin() -> None:
    fields = dict(
        zip(STATE_FIELDS, [b"e", b"90-0", b"9", b"30-0", b"3", None, None, None, None], strict=True)
    )
    assert to_state(list(fields.values())) == state()._replace(origin="e")


@pytest.mark.parametrize(
    "fields", [{}, {b"x": b"1 2 {}"}, {b"e": b"{}"}, {b"e": b"x 2 {}"}, {b"e": b"1 x {}"}]
)
def test_an_entry_of_somebody_else_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(LogError, match="1-0 of the log's stream was not written by Tidegate"):
        to_entries([(b"1-0", fields)])
