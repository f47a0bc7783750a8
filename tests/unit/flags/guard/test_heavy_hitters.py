"""Space-Saving, by examples; its bounds are in tests/property."""

from collections.abc import Iterable

import pytest

from flags.guard.heavy_hitters import HeavyHitter, HitterList, SpaceSaving, merged_hitters


def test_below_its_capacity_the_counts_are_exact() -> None:
    labels = SpaceSaving(3)
    for label in "abacab":
        labels.add(label)

    assert labels.top() == (HeavyHitter("a", 3, 0), HeavyHitter("b", 2, 0), HeavyHitter("c", 1, 0))
    assert labels.bound == 1


def test_a_newcomer_inherits_the_count_of_the_least_frequent_as_its_error() -> None:
    labels = SpaceSaving(2)

    displaced = [labels.add(label) for label in "aaabcb"]

    assert displaced == [None, None, None, None, "b", "c"]
    assert labels.top() == (HeavyHitter("a", 3, 0), HeavyHitter("b", 3, 2))


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        SpaceSaving(0)


def counted(labels: Iterable[str], capacity: int = 8) -> HitterList:
    counting = SpaceSaving(capacity)
    for label in labels:
        counting.add(label)
    return counting.hitters()


def test_lists_of_several_nodes_add_up_and_are_exact_where_each_has_room() -> None:
    both = merged_hitters([counted("aaab"), counted("bbbcc")], 8)
    assert [(hitter.label, hitter.count, hitter.error) for hitter in both.hitters] == [
        ("b", 4, 0),
        ("a", 3, 0),
        ("c", 2, 0),
    ]
    assert (both.total, both.bound) == (9, 0)


def test_no_list_is_an_empty_one() -> None:
    assert merged_hitters([], 8) == HitterList()


def test_what_was_counted_since_is_what_came_since() -> None:
    since = counted("aabbbbcc").less(counted("aabb"))
    assert [(hitter.label, hitter.count) for hitter in since.hitters] == [("b", 2), ("c", 2)]
    assert since.total == 4


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        {},
        {"hitters": [["a", 1]], "total": 1, "bound": 0},
        {"hitters": [["a", -1, 0]], "total": 1, "bound": 0},
        {"hitters": [[1, 1, 0]], "total": 1, "bound": 0},
        {"hitters": [["a", 1.5, 0]], "total": 1, "bound": 0},
        {"hitters": [["a", 1, 0]] * 2000, "total": 1, "bound": 0},
    ],
)
def test_what_is_no_list_is_refused(garbage: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        HitterList.of(garbage)
