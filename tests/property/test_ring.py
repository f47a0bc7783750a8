"""The ring against a model that never forgets, and knows what it should have forgotten."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import ORIGIN, Position
from gateway.core.history import History
from gateway.core.ring import Ring
from tests.support.events import a_record


class Item(NamedTuple):
    """An entry of the ring."""

    position: Position
    size: int
    at: float


class Append(NamedTuple):
    """An entry comes, `passed` seconds after the one before."""

    size: int
    passed: int


class Trim(NamedTuple):
    """The bounds are applied; `unread` of the newest entries must stay."""

    unread: int
    passed: int


_appends = st.builds(Append, st.integers(1, 5), st.integers(0, 3))
_trims = st.builds(Trim, st.integers(0, 8), st.integers(0, 5))
_operations = st.lists(_appends | _trims, max_size=80)


def should_be_floor(
    items: list[Item], floor: int, bounds: tuple[int, int, int], now: int, keep: int, at_once: int
) -> int:
    """The floor after a trim: the oldest goes while a bound is passed and it may go.

    Of those at most `at_once`, or as many as are needed not to hold an eighth too many bytes.
    """
    max_entries, max_age, max_bytes = bounds
    enough = floor + at_once
    while floor < keep:
        held = items[floor:]
        size = sum(item.size for item in held)
        if floor >= enough and size <= max_bytes + max_bytes // 8:
            break
        is_over = len(held) > max_entries or size > max_bytes
        if not is_over and now - held[0].at <= max_age:
            break
        floor += 1
    return floor


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 10), st.integers(1, 30)),
    _operations,
    st.integers(0, 3),
    st.integers(0, 9),
)
def test_a_ring_holds_what_its_bounds_allow_and_knows_exactly_what_it_let_go(
    bounds: tuple[int, int, int], operations: list[Append | Trim], burst: int, at_once: int
) -> None:
    ring: Ring[Item] = Ring(
        max_entries=bounds[0], max_age_seconds=bounds[1], max_bytes=bounds[2], freed_at_once=at_once
    )
    items: list[Item] = []
    now = floor = trimmed_at = 0
    for operation in operations:
        now += operation.passed
        if isinstance(operation, Append):
            # Bursts, so that the list behind the ring is cut now and then.
            for _ in range(1 + 30 * burst):
                items.append(Item(Position(len(items) // 3 + 1, len(items) % 3), operation.size, float(now)))
                assert ring.add(items[-1]) == len(items)
        else:
            keep = max(0, len(items) - operation.unread)
            came, trimmed_at = len(items) - trimmed_at, len(items)
            floor = should_be_floor(items, floor, bounds, now, keep, came + at_once)
            ring.trim(float(now), keep)
    check_contents(ring, items, floor)
    check_places(ring, items, floor)


def check_contents(ring: Ring[Item], items: list[Item], floor: int) -> None:
    assert (ring.floor, ring.head) == (floor, len(items))
    assert ring.entries_after(floor, 10**9) == items[floor:]
    assert ring.size_bytes == sum(item.size for item in items[floor:])
    assert ring.floor_position == (items[floor - 1].position if floor else ORIGIN)
    assert ring.head_position == (items[-1].position if items else ORIGIN)


def check_places(ring: Ring[Item], items: list[Item], floor: int) -> None:
    for number, item in list(enumerate(items, 1))[max(0, floor - 3) :]:
        if number < floor:
            assert ring.number_at(item.position) is None
        else:
            assert ring.number_at(item.position) == number
            assert ring.position(number) == item.position
            came = [index for index, other in enumerate(items, 1) if other.at <= item.at]
            assert ring.number_at_time(item.at) == max(floor, came[-1])
            before = [index for index, other in enumerate(items, 1) if other.at < item.at]
            assert ring.number_before_time(item.at) == max([floor, *before[-1:]])
    assert ring.number_at(ORIGIN) == (0 if floor == 0 else None)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), max_size=20),
    st.integers(1, 5),
    st.lists(st.integers(0, 20)),
    st.integers(0, 3),
)
def test_only_a_position_that_is_held_or_the_floor_has_a_number(
    steps: list[tuple[int, int]], max_entries: int, trims: list[int], start: int
) -> None:
    """Whatever was appended and trimmed: of all positions around, only those that were given count."""
    history = History(max_events=max_entries, max_age_seconds=1e9, max_bytes=10**9, id_aliases={})
    history.open("e", Position(start, start))
    given_out = [history.head_position]
    for index, (major, minor) in enumerate(steps):
        last = history.head_position
        # Sometimes the next minor, sometimes a later major with a lower one.
        position = Position(last.major, last.minor + major) if minor else Position(last.major + major, 0)
        history.append(a_record(position), 0.0)
        given_out.append(position)
        if index in trims:
            history.trim(0.0, history.head)
    head, floor = history.head_position, history.floor_position
    numbers = {position: number for number, position in enumerate(given_out) if position >= floor}
    for major in range(head.major + 3):
        for minor in range(max(position.minor for position in given_out) + 3):
            position = Position(major, minor)
            number = numbers.get(position)
            resolved = history.resolve(f"e.{position}")
            assert history.number_at(position) == number
            if number is not None:
                assert resolved == number
            else:
                assert resolved == ("trimmed" if position < floor else "unknown")
