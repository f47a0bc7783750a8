"""What all nodes saw, for the one that judges: what can't be read is left out, named, and said once."""

import logging
from typing import Any

import pytest

from flags.guard.callers import Side
from flags.guard.tally import Tally
from flags.guard.who import Who
from flags.guard.window import GuardWindow
from gateway.migration.guard_sums import JUDGED, TALLIES, GuardSums


class Other:
    """A node that said this half a second ago."""

    age_seconds, is_gone = 0.5, False

    def __init__(self, node: str, content: dict[str, Any]) -> None:
        self.node = self.name = node
        self.content = content


class Nodes:
    leads = has_lease = True

    def __init__(self, *others: Other) -> None:
        self.others = list(others)


def seen(*names: str) -> Tally:
    """What a node has seen of callers with these names."""
    window = GuardWindow(60.0)
    for name in names:
        window.polled(Who(f"s:{name}"), Side.CONTROL, 1.0, failed=False)
    return window.tally(0.0, 1.0)


def test_callers_that_two_nodes_saw_are_one_in_the_sum() -> None:
    sums = GuardSums(Nodes(Other("b", {TALLIES: {"orders": seen("ann", "ben").wire()}})))
    tally = sums.tally("orders", seen("ben", "eve"), sums.told, 60.0, 60.0)
    assert len(tally.callers[Side.CONTROL]) == 3
    assert (dict(sums.unread), sums.warnings()) == ({}, [])


@pytest.mark.parametrize("given", [{"whole": "many"}, {"callers": {"CONTROL": [0, "?"]}}, {}])
def test_a_tally_that_is_none_is_left_out_and_named_once(
    caplog: pytest.LogCaptureFixture, given: dict[str, Any]
) -> None:
    caplog.set_level(logging.WARNING)
    nodes = Nodes(
        Other("b", {TALLIES: {"orders": given}}), Other("c", {TALLIES: {"orders": seen("ann").wire()}})
    )
    sums = GuardSums(nodes)
    for _ in range(3):
        assert len(sums.tally("orders", seen("ben"), sums.told, 60.0, 60.0).callers[Side.CONTROL]) == 2
    assert dict(sums.unread) == {"b": "b"}
    assert sums.warnings() == ["What b says to the guard can't be read: it is left out."]
    assert [record.message for record in caplog.records] == ["node_tally_left_out"]
    nodes.others.pop(0)
    assert sums.warnings() == []


def test_whoever_judged_and_says_so_in_a_way_that_can_t_be_read_is_passed_over() -> None:
    sums = GuardSums(Nodes(Other("b", {JUDGED: {"orders": {"rollout": "x"}}})))
    assert sums.judged("orders", sums.told, 10.0) is None
    assert dict(sums.unread) == {"b": "b"}
