"""The load test's check of numbered events: it must see every gap, double and reordering."""

from loadtests.sequences import Sequences


def findings(numbers: list[int], sequences: Sequences | None = None) -> list[str]:
    """The kinds of what is wrong when a reader gets these numbers of one lane, in this order."""
    sequences = sequences or Sequences()
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
    sequences = Sequences()

    assert [sequences.take("a", 0), sequences.take("b", 5), sequences.take("a", 1)] == [None, None, None]


def test_after_a_restart_any_number_may_come() -> None:
    sequences = Sequences()
    findings([0, 1], sequences)
    sequences.restart()

    assert findings([90, 91], sequences) == []


def test_what_was_published_and_never_came_is_owed() -> None:
    sequences = Sequences()
    findings([3, 4], sequences)

    assert sequences.owed({"a": 5}) == 0
    assert sequences.owed({"a": 8, "lane that it never saw": 9}) == 3
