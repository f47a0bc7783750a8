"""What nodes count of a component, summed."""

from typing import Any

import orjson
import pytest

from flags.guard.keys_seen import KeyCounts
from flags.parity.report import Outcome, ParityReport
from gateway.migration.node_summaries import NodeSummary
from gateway.migration.node_sums import ComponentSums, ContentOfNode, Folding, merged, summed
from gateway.migration.poll_inventory import PollInventory


def polls(count: int, label: str = "web/1") -> ComponentSums:
    """Those of a node whose last poll is a second old."""
    inventory = PollInventory(lambda component: True, lambda component: 0)
    for _ in range(count):
        inventory.polled("orders", label, 0.0)
    counts = inventory.counts("orders", 1.0)
    assert counts is not None
    parity = ParityReport({Outcome.MATCH: count}, samples=count)
    return ComponentSums(counts, KeyCounts(count, 0), parity=parity)


def summary(name: str, sums: Any, age: float = 0.0, *, gone: bool = False) -> NodeSummary:
    content = orjson.loads(orjson.dumps({"sums": sums}))
    return NodeSummary(name, name, age, name == "a", gone, content)


def test_the_sum_is_that_of_all_nodes_and_each_is_beside() -> None:
    found = summed(
        "orders",
        [
            summary("a", {"orders": polls(3).wire()}),
            summary("b", {"orders": polls(4).wire(), "other": polls(9).wire()}, 1.0),
            summary("c", {}),
        ],
    )
    assert found.together.pollers.report().polls == 7
    assert found.together.keys == KeyCounts(7, 0)
    assert found.together.parity is not None
    assert found.together.parity.samples == 7
    assert [sums.pollers.report().polls for _, sums in found.each] == [3, 4, 0]


def test_one_that_is_gone_keeps_its_pollers_and_loses_its_rates_keys_and_parity() -> None:
    found = summed("orders", [summary("a", {}), summary("b", {"orders": polls(4).wire()}, 400.0, gone=True)])
    (poller,) = found.together.pollers.report().pollers
    assert (poller.polls, poller.per_second, poller.last_seen_seconds) == (4, 0.0, 401.0)
    assert found.together.keys == KeyCounts()
    assert found.together.parity is None


@pytest.mark.parametrize("garbage", [[], 1, {"orders": 1}, {"orders": {"pollers": {}}}])
def test_what_can_t_be_read_is_named_and_not_counted(garbage: Any) -> None:
    found = summed("orders", [summary("a", {"orders": polls(3).wire()}), summary("b", garbage)])
    assert found.together.pollers.report().polls == 3
    assert [each.name for each in found.unreadable] == ["b"]


def test_what_was_folded_counts_as_the_nodes_did_but_for_parity() -> None:
    folding = Folding()
    first = folding.fold([({}, 0.0), ({"orders": polls(3).wire()}, 10.0)])
    second = folding.fold([(first, 5.0), ({"orders": polls(4).wire(), "bad": 1}, 20.0)])
    folding.check(orjson.loads(orjson.dumps(second)))
    sums = ComponentSums.of(second["orders"])
    (poller,) = sums.pollers.report().pollers
    assert (poller.polls, poller.last_seen_seconds, sums.parity) == (7, 16.0, None)
    assert "bad" not in second


def test_what_was_counted_since_is_the_difference() -> None:
    before, now = {"orders": polls(3).wire()}, {"orders": polls(5).wire(), "other": polls(1).wire()}
    since = Folding().less(now, before)
    assert ComponentSums.of(since["orders"]).pollers.report().polls == 2
    assert ComponentSums.of(since["other"]).pollers.report().polls == 1


@pytest.mark.parametrize("garbage", [None, [], {"orders": None}, {"orders": {"keys": [1]}}])
def test_sums_that_are_none_are_refused(garbage: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        Folding().check(garbage)


def test_a_component_that_nobody_counted_is_empty() -> None:
    assert ComponentSums.of({}).wire() == merged([]).wire()


async def test_a_content_has_a_member_of_each_maker() -> None:
    async def one() -> list[int]:
        return [1]

    assert await ContentOfNode({"sums": one, "tally": one})() == {"sums": [1], "tally": [1]}
