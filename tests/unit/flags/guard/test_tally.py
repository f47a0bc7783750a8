"""What nodes saw adds up, goes over the wire, and garbage does not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.guard.callers import CALLERS_AN_ADDRESS, SAMPLED, Side, number_of
from flags.guard.marks import NEVER, Marks
from flags.guard.tally import Freshness, Tally
from flags.guard.who import Who
from flags.guard.window import GuardWindow
from flags.guard.windows import SLOTS

WINDOW = 60.0

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def a_window(names: range, side: Side = Side.CONTROL) -> GuardWindow:
    window = GuardWindow(WINDOW)
    for number in names:
        window.polled(Who(f"s:{number}"), side, 1.0, failed=number % 10 == 0)
    return window


def a_tally() -> Tally:
    window = a_window(range(100))
    window.pushed(40.0, 90.0, 3, 2.0)
    window.own_polls(5, 1, 2.0)
    window.callers.opened(Who("k:stream", "192.0.2.1"), Side.TREATED, 2.0)
    return window.tally(0.0, 3.0, streams=7)


def test_a_caller_that_two_nodes_saw_is_one() -> None:
    tally = a_window(range(60)).tally(0.0, 1.0)
    tally.merge(a_window(range(40, 100)).tally(0.0, 1.0))

    assert len(tally.callers[Side.CONTROL]) == 100


def test_what_either_node_saw_go_wrong_counts() -> None:
    number = number_of("s:1")
    one = Tally(callers={side: {} for side in Side} | {Side.CONTROL: {number: Marks(0, 5, failed=9)}})
    other = Tally(callers={side: {} for side in Side} | {Side.CONTROL: {number: Marks(7, 3, began=3)}})

    one.merge(other)

    assert one.callers[Side.CONTROL] == {number: Marks(7, 3, failed=9, began=3)}


def test_a_large_node_and_a_small_one_give_a_sample_of_both() -> None:
    tally = a_window(range(20_000)).tally(0.0, 1.0)
    level = tally.levels[Side.CONTROL]
    tally.merge(a_window(range(20_000, 20_100)).tally(0.0, 1.0))

    kept = tally.callers[Side.CONTROL]
    assert level > 0
    assert len(kept) <= SAMPLED + 100
    assert all(number % (1 << level) == 0 for number in kept)


def test_a_caller_on_two_sides_is_on_that_where_it_was_seen_last() -> None:
    number = number_of("s:1")
    tally = Tally()
    tally.callers[Side.CONTROL][number] = Marks(0, seen=9)
    tally.callers[Side.TREATED][number] = Marks(0, seen=2)

    tally.settle()

    assert number in tally.callers[Side.TREATED]
    assert number not in tally.callers[Side.CONTROL]


def test_over_all_nodes_an_address_counts_for_so_many() -> None:
    nodes = []
    for node in range(3):
        window = GuardWindow(WINDOW)
        for number in range(40):
            window.polled(Who(f"k:{node} {number}", "192.0.2.1"), Side.CONTROL, 1.0, failed=True)
        nodes.append(window.tally(0.0, 1.0))
    tally = nodes[0]
    for node_tally in nodes[1:]:
        tally.merge(node_tally)

    tally.settle()

    assert len(tally.callers[Side.CONTROL]) == CALLERS_AN_ADDRESS


def test_what_has_aged_out_of_the_window_is_gone() -> None:
    tally = a_tally().aged(SLOTS)

    assert not any(tally.callers.values())
    assert tally.freshness == {}


def test_a_tally_that_ages_says_less_of_what_happened_long_ago() -> None:
    assert Marks(0, seen=3, failed=50).aged(20) == Marks(0, seen=23, failed=NEVER)
    assert Marks(0, seen=3, failed=50).aged(58) is None


def test_a_tally_survives_the_wire() -> None:
    tally = a_tally()
    given = json.loads(json.dumps(tally.wire()))

    assert Tally.of(given).wire() == tally.wire()
    assert Tally.of(given).callers == tally.callers


def test_freshness_of_a_slot_adds_up() -> None:
    tally = Tally(freshness={3: Freshness(1, 2, 0, 4)})
    tally.merge(Tally(freshness={3: Freshness(0, 2, 1, 4), 5: Freshness(1, 1)}))

    assert tally.freshness == {3: Freshness(1, 4, 1, 8), 5: Freshness(1, 1)}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("streams",), -1),
        (("streams",), True),
        (("whole", "compared"), [1, 2, -3]),
        (("whole", "lags"), [[10**9, 1]]),
        (("freshness",), [[61, 1, 1, 1, 1]]),
        (("freshness",), [[1, -1.0, 1, 1, 1]]),
        (("callers",), {"NOWHERE": [0, ""]}),
        (("callers",), {"CONTROL": [41, ""]}),
        (("callers",), {"CONTROL": [0, "not base64!"]}),
        (("callers",), {"CONTROL": [0, "AAAA"]}),
        (("callers",), {"CONTROL": [0, "AAAA" * 40_000]}),
        (("callers",), []),
        (("whole",), None),
    ],
)
def test_what_is_no_tally_is_refused(path: tuple[str, ...], value: Any) -> None:
    wire = a_tally().wire()
    place: Any = wire
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value

    with pytest.raises(ValueError, match=r".+"):
        Tally.of(wire)


@given(JSON)
def test_any_json_is_a_tally_or_a_value_error(given: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Tally.of(given)


@given(st.sampled_from(["whole", "recent", "freshness", "callers", "streams"]), JSON)
def test_a_tally_with_a_member_of_any_json_is_one_or_a_value_error(member: str, value: Any) -> None:
    wire = a_tally().wire() | {member: value}
    try:
        tally = Tally.of(wire)
    except ValueError:
        return
    tally.merge(a_tally())
    tally.settle()
    json.dumps(tally.wire())
