"""The bounded run of entries: by count, by age, by bytes; and exactly what was trimmed."""

import tracemalloc
import weakref
from typing import NamedTuple

import pytest

from gateway.core.events import ORIGIN, Position
from gateway.core.ring import FREED_AT_ONCE, Ring


class Item(NamedTuple):
    position: Position
    size: int = 1
    at: float = 0.0


def ring_of(
    count: int,
    *,
    max_entries: int = 10**9,
    max_age_seconds: float = 1e9,
    max_bytes: int = 10**9,
    freed_at_once: int = FREED_AT_ONCE,
) -> Ring[Item]:
    """A ring of entries at positions 10-0, 20-0, …, one byte and one second each."""
    ring: Ring[Item] = Ring(
        max_entries=max_entries,
        max_age_seconds=max_age_seconds,
        max_bytes=max_bytes,
        freed_at_once=freed_at_once,
    )
    for number in range(1, count + 1):
        ring.add(Item(Position(number * 10, 0), 1, float(number)))
    return ring


def held(ring: Ring[Item]) -> list[int]:
    """The numbers that the ring gives, told from its entries' positions."""
    return [entry.position.major // 10 for entry in ring.entries_after(ring.floor, 10**9)]


def test_a_new_ring_is_empty_at_the_origin() -> None:
    ring = ring_of(0)
    assert (ring.head, ring.floor, ring.size_bytes) == (0, 0, 0)
    assert (ring.head_position, ring.floor_position) == (ORIGIN, ORIGIN)
    assert ring.entries_after(0, 10) == []


def test_entries_are_numbered_from_one() -> None:
    ring = ring_of(3)
    assert ring.add(Item(Position(40, 0))) == 4
    assert held(ring) == [1, 2, 3, 4]


@pytest.mark.parametrize("position", [Position(30, 0), Position(29, 9), Position(0, 0)])
def test_a_position_that_does_not_come_after_the_last_is_refused(position: Position) -> None:
    ring = ring_of(3)
    with pytest.raises(ValueError, match=f"{position} does not come after 30-0"):
        ring.add(Item(position))
    assert ring.head == 3


def test_positions_order_as_integers() -> None:
    ring = ring_of(0)
    ring.add(Item(Position(9, 10)))
    ring.add(Item(Position(10, 9)))
    ring.add(Item(Position(10, 10)))
    assert ring.head == 3


def test_after_gives_at_most_the_limit() -> None:
    ring = ring_of(5)
    assert [entry.position.major for entry in ring.entries_after(2, 2)] == [30, 40]
    assert ring.entries_after(5, 2) == []


def test_the_count_bounds_the_ring() -> None:
    ring = ring_of(10, max_entries=4)
    ring.trim(10.0, 10)
    assert held(ring) == [7, 8, 9, 10]
    assert ring.floor == 6
    assert ring.floor_position == Position(60, 0)


def test_bytes_bound_the_ring() -> None:
    ring = ring_of(10, max_bytes=3)
    ring.trim(10.0, 10)
    assert held(ring) == [8, 9, 10]
    assert ring.size_bytes == 3


def test_an_entry_over_the_bound_by_itself_is_let_go() -> None:
    ring = ring_of(2, max_bytes=3)
    ring.add(Item(Position(30, 0), size=4))
    ring.trim(3.0, 3)
    assert held(ring) == []
    assert (ring.floor, ring.head, ring.size_bytes) == (3, 3, 0)


def test_age_bounds_the_ring_and_an_entry_of_exactly_that_age_stays() -> None:
    ring = ring_of(10, max_age_seconds=4.0)
    ring.trim(12.0, 10)
    assert held(ring) == [8, 9, 10]


def test_all_may_grow_too_old() -> None:
    ring = ring_of(3, max_age_seconds=4.0)
    ring.trim(1000.0, 3)
    assert held(ring) == []
    assert ring.floor_position == ring.head_position == Position(30, 0)


def test_nothing_after_keep_after_is_trimmed() -> None:
    ring = ring_of(10, max_entries=1, max_age_seconds=1.0, max_bytes=1)
    ring.trim(1000.0, 4)
    assert held(ring) == [5, 6, 7, 8, 9, 10]
    ring.trim(1000.0, 4)
    assert ring.floor == 4


def test_a_keep_after_below_the_floor_trims_nothing() -> None:
    ring = ring_of(10, max_entries=2)
    ring.trim(0.0, 10)
    ring.trim(0.0, 3)
    assert ring.floor == 8


def test_the_last_trimmed_position_can_be_resumed_from_and_the_one_before_can_not() -> None:
    ring = ring_of(10, max_entries=4)
    ring.trim(0.0, 10)
    assert ring.number_at(Position(60, 0)) == 6
    assert ring.number_at(Position(59, 9)) is None
    assert ring.number_at(Position(50, 0)) is None


def test_a_position_that_the_ring_never_held_has_no_number() -> None:
    ring = ring_of(10, max_entries=4)
    ring.trim(0.0, 10)
    assert ring.number_at(Position(70, 0)) == 7
    assert ring.number_at(Position(100, 0)) == 10
    for major, minor in ((65, 0), (70, 1), (69, 2**64 - 1), (100, 1), (10**9, 0)):
        assert ring.number_at(Position(major, minor)) is None


def test_a_time_finds_the_last_entry_that_had_come_by_then() -> None:
    ring = ring_of(10, max_entries=4)
    ring.trim(0.0, 10)
    assert ring.number_at_time(8.0) == 8
    assert ring.number_at_time(8.5) == 8
    assert ring.number_at_time(99.0) == 10
    assert ring.number_at_time(1.0) == 6, "before all that is held: the floor"


def test_what_came_at_a_time_had_not_come_before_it() -> None:
    ring = ring_of(10, max_entries=4)
    ring.add(Item(Position(110, 0), 1, 10.0))
    ring.trim(0.0, 11)
    assert ring.number_before_time(10.0) == 9, "10 and 11 came at that time"
    assert ring.number_at_time(10.0) == 11
    assert ring.number_before_time(10.5) == 11
    assert ring.number_before_time(8.0) == 7, "7 is the floor"
    assert ring.number_before_time(1.0) == 7


def test_what_was_trimmed_is_freed_at_once() -> None:
    ring: Ring[_Weighed] = Ring(max_entries=10, max_age_seconds=1e9, max_bytes=10**9)
    seen: list[weakref.ref[_Weighed]] = []
    for number in range(1, 301):
        item = _Weighed(Position(number, 0))
        seen.append(weakref.ref(item))
        ring.add(item)
        del item
        ring.trim(0.0, number)
        assert sum(ref() is not None for ref in seen) == min(number, 10)


def test_what_grew_too_old_together_is_let_go_of_in_pieces() -> None:
    ring = ring_of(10_000, max_age_seconds=4.0)
    ring.trim(0.0, 10_000)
    floors = []
    while ring.floor < 10_000:
        ring.trim(1e6, 10_000)
        floors.append(ring.floor)
    assert floors == [*range(FREED_AT_ONCE, 10_000, FREED_AT_ONCE), 10_000]


def test_as_many_go_as_came_however_many_that_is() -> None:
    ring = ring_of(30, max_entries=30, freed_at_once=2)
    ring.trim(0.0, 30)
    for number in range(31, 51):
        ring.add(Item(Position(number * 10, 0)))
    ring.trim(0.0, 50)
    assert held(ring) == list(range(21, 51))


def test_small_entries_make_room_for_a_large_one_before_an_eighth_too_much_is_held() -> None:
    ring = ring_of(80, max_bytes=80, freed_at_once=2)
    ring.trim(0.0, 80)
    ring.add(Item(Position(810, 0), size=10))
    ring.trim(0.0, 81)
    assert ring.size_bytes == 87, "three of the small ones went"
    ring.add(Item(Position(820, 0), size=10))
    ring.trim(0.0, 82)
    assert ring.size_bytes == 90, "as many as it took"


def test_what_was_trimmed_leaves_no_place_behind() -> None:
    ring = ring_of(0, max_entries=10)
    tracemalloc.start()
    try:
        for number in range(1, 30_001):
            ring.add(Item(Position(number, 0)))
            ring.trim(0.0, number)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A place takes 8 bytes: all of them would be 240,000.
    assert kept_bytes < 50_000


class _Weighed:
    """An entry of which can be told whether it is still in memory."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.size = 1
        self.at = 0.0


def test_every_number_from_floor_to_head_has_its_position() -> None:
    ring = ring_of(10, max_entries=4)
    ring.trim(0.0, 10)
    assert [ring.position(number) for number in range(5, 11)] == [
        None,
        *(Position(major, 0) for major in (60, 70, 80, 90, 100)),
    ]


def test_a_ring_that_starts_within_a_history_holds_nothing_before() -> None:
    ring = ring_of(0)
    ring.start_at(Position(77, 7))
    assert (ring.floor, ring.head) == (0, 0)
    assert ring.position(0) == ring.head_position == Position(77, 7)
    assert ring.number_at(Position(77, 7)) == 0
    assert ring.number_at(Position(77, 6)) is None
    with pytest.raises(ValueError, match="does not come after"):
        ring.add(Item(Position(77, 7)))


def test_numbers_hold_over_many_cuts_of_the_list() -> None:
    ring = ring_of(0, max_entries=5)
    for number in range(1, 1001):
        ring.add(Item(Position(number * 10, 0)))
        ring.trim(0.0, number)
        assert ring.floor == max(0, number - 5)
        assert held(ring) == list(range(ring.floor + 1, number + 1))
        assert ring.position(ring.floor) == Position(ring.floor * 10, 0)
    assert ring.size_bytes == 5


def test_a_ring_is_emptied_some_entries_at_a_time() -> None:
    ring = ring_of(25, freed_at_once=10)
    held = [len(ring.latest(100)) for _ in ring.emptying()]
    assert held == [25, 15, 5]
    assert ring.latest(100) == []
