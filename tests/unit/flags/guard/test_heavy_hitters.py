"""Space-Saving, by examples; its bounds are in tests/property."""

import pytest

from flags.guard.heavy_hitters import HeavyHitter, SpaceSaving


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
