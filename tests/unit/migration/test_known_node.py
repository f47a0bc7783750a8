"""What one node makes of another's summaries, by clocks that agree, and by some that don't."""

import pytest

from gateway.migration.known_node import GONE_SECONDS, KnownNode

WALL = 1_700_000_000.0


def looked_at(node: KnownNode, version: int, *, made: float, at: float) -> KnownNode:
    """One look, at `at` seconds, finds a summary that its clock says was made at `made`."""
    if node.is_new(version):
        node.said(version, WALL + made, at, WALL + at)
    node.looked(at, at)
    return node


def test_a_summary_that_is_seen_first_is_as_old_as_the_clocks_on_the_walls_say() -> None:
    node = looked_at(KnownNode("a"), 1, made=97.0, at=100.0)
    assert (node.reason, node.age(100.0), node.is_gone) == (None, 3.0, False)
    assert node.age(101.5) == 4.5


def test_one_that_was_gone_before_anybody_looked_is_gone_and_its_clock_is_right() -> None:
    node = looked_at(KnownNode("a"), 1, made=0.0, at=1000.0)
    assert (node.reason, node.is_gone) == (None, True)


def test_one_that_says_nothing_new_is_gone_after_ten_seconds() -> None:
    node = looked_at(KnownNode("a"), 1, made=100.0, at=100.0)
    for second in range(1, 10):
        looked_at(node, 1, made=100.0, at=100.0 + second)
        assert not node.is_gone
    assert looked_at(node, 1, made=100.0, at=100.0 + GONE_SECONDS).is_gone


def test_one_that_comes_back_is_not_gone_any_more() -> None:
    node = looked_at(KnownNode("a"), 1, made=0.0, at=50.0)
    assert not looked_at(node, 2, made=50.5, at=51.0).is_gone


def test_one_that_ended_is_gone_at_once() -> None:
    node = looked_at(KnownNode("a"), 1, made=100.0, at=100.0)
    node.ended = True
    assert node.is_gone


@pytest.mark.parametrize("off", [10.5, -12.5])
def test_a_clock_that_is_off_by_more_than_ten_seconds_is_found_by_the_second_summary(off: float) -> None:
    node = looked_at(KnownNode("a"), 1, made=100.0 + off, at=100.0)
    assert looked_at(node, 2, made=101.0 + off, at=101.0).reason == "clock"
    assert node.age(101.0) == 0.0


def test_a_clock_that_was_set_right_counts_again() -> None:
    node = looked_at(KnownNode("a"), 1, made=200.0, at=100.0)
    assert node.reason == "clock"
    assert looked_at(node, 2, made=101.0, at=101.0).reason is None


@pytest.mark.parametrize("off", [9.5, -9.5])
def test_a_clock_that_is_off_by_less_counts(off: float) -> None:
    node = looked_at(KnownNode("a"), 1, made=100.0 + off, at=100.0)
    assert looked_at(node, 2, made=101.0 + off, at=101.0).reason is None


def test_who_has_not_looked_for_long_takes_a_node_that_died_since_for_gone_and_not_for_wrong() -> None:
    node = looked_at(KnownNode("a"), 1, made=100.0, at=100.0)
    looked_at(node, 2, made=150.0, at=400.0)
    assert (node.reason, node.age(400.0), node.is_gone) == (None, 250.0, True)


def test_whoever_has_not_looked_since_does_not_say_that_it_is_gone() -> None:
    node = looked_at(KnownNode("a"), 1, made=100.0, at=100.0)
    assert (node.age(400.0), node.is_gone) == (300.0, False)


def test_what_can_t_be_counted_is_gone_by_its_versions_alone() -> None:
    node = KnownNode("a")
    node.said_nothing_usable(1, "version", 100.0)
    node.looked(100.0, 100.0)
    assert (node.reason, node.is_gone) == ("version", False)
    node.looked(110.0, 110.0)
    assert node.is_gone


def test_a_node_that_only_a_clock_calls_old_is_given_up_by_nobody() -> None:
    node = looked_at(KnownNode("a"), 1, made=0.0, at=5000.0)
    assert not node.is_past(600.0, 5000.0)
    assert not node.is_past(600.0, 5009.0)
    assert node.is_past(600.0, 5010.0)


def test_one_without_a_summary_is_given_up_too() -> None:
    node = KnownNode("a")
    node.looked(100.0, 100.0)
    assert not node.is_past(600.0, 699.0)
    assert node.is_past(600.0, 700.0)
