"""The load test's check of numbered events: it must see every gap, double and reordering."""

from loadtests.sequences import Sequences


def findings(numbers: list[int], sequences: Sequences | None = None) -> list[str]:
    """The kinds of what is wrong when a reader gets these numbers of one lane, in this order."""
    sequences = sequences or Sequences({})
    found = [sequences.take("a", number) for number in numbers]
    return [finding.kind for finding in found if finding is not None]


def test_consecutive_numbers_have_nothing_wrong_wherever_they_start() -> None:
    assert findings([7, 8, 9]) == []


def test_a_skipped_number_is_a_gap() -> None:
    assert findings([0, 2, 3]) == ["gap"]


def test_a_number_that_comes_again_is_a_duplicate() -> None:
    assert findings([0, 1, 1, 2]) == ["duplicate"]


def test_a_number_that_comes_late_is_reordered_and_only_once() -> None:
    assert findings([0, 2, 1, 1]) == ["gap", "reordered", "duplicate"]


def test_lanes_are_counted_apart() -> None:
    sequences = Sequences({})

    assert [sequences.take("a", 0), sequences.take("b", 5), sequences.take("a", 1)] == [None, None, None]


def test_after_a_restart_any_number_may_come() -> None:
    sequences = Sequences({})
    findings([0, 1], sequences)
    sequences.restart()

    assert findings([90, 91], sequences) == []


def test_what_was_published_and_never_came_is_owed() -> None:
    sequences = Sequences({"a": 3})
    sequences.begin()
    findings([3, 4], sequences)

    assert sequences.owed({"a": 5}) == 0
    assert sequences.owed({"a": 8}) == 3


def test_a_reader_that_gets_nothing_is_owed_all_since_it_began() -> None:
    offered = {"a": 3}
    sequences = Sequences(offered)
    sequences.begin()
    offered |= {"a": 9, "b": 2}

    assert sequences.owed({"a": 8, "b": 2}) == 5 + 2


def test_a_reader_that_never_began_is_owed_nothing() -> None:
    assert Sequences({"a": 3}).owed({"a": 8}) == 0


def test_the_first_number_may_be_one_that_was_under_way_and_none_after_it() -> None:
    for first, kinds in ((1, []), (3, []), (4, ["gap"])):
        offered = {"a": 3}
        sequences = Sequences(offered)
        sequences.begin()
        offered["a"] = 9

        assert findings([first], sequences) == kinds


def test_all_of_a_lane_that_began_later_is_to_come() -> None:
    offered: dict[str, int] = {}
    sequences = Sequences(offered)
    sequences.begin()
    offered["a"] = 5

    assert findings([2, 3], sequences) == ["gap"]


def test_to_begin_again_changes_nothing_and_a_restart_does() -> None:
    offered = {"a": 3}
    sequences = Sequences(offered)
    sequences.begin()
    offered["a"] = 9
    sequences.begin()

    assert sequences.owed({"a": 9}) == 6
    sequences.restart()
    assert sequences.owed({"a": 9}) == 0
    assert findings([9], sequences) == []
