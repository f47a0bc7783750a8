"""The migration's cost: its sizes, and what its figures are taken from."""

import pytest

from loadtests.bench import UsageError
from loadtests.cost_report import merged
from loadtests.migration_cost import names_of, parse, sizes_of, variants_of
from loadtests.ways import DIRECT, PUSH, THROUGH, WAYS, Cost, Sizes, intervals

SIZES = Sizes(clients=10, orders=20, freshness_s=2.0, changes_per_second=1.0, seconds=5.0)


def a_cost(way: str, upstream_requests: float = 10.0) -> Cost:
    client_s, gateway_s = intervals(way, SIZES.freshness_s)
    measured = (5.0, 1024.0, upstream_requests, 0.0, 2048.0, 3.0, 4.0, 990.0, 1980.0, 0.1)
    return Cost(way, client_s, gateway_s, 7.0, *measured)


@pytest.mark.parametrize("way", WAYS)
def test_by_every_way_a_change_waits_no_longer_than_was_promised(way: str) -> None:
    assert sum(intervals(way, 2.0)) == 2.0


def test_the_figures_are_medians_of_the_rounds_way_by_way() -> None:
    rounds = [a_cost(PUSH, 1.0), a_cost(DIRECT, 250.0), a_cost(PUSH, 3.0), a_cost(PUSH, 2.0), a_cost(THROUGH)]

    costs = merged(rounds)

    assert [cost.way for cost in costs] == [DIRECT, THROUGH, PUSH]
    assert costs[2].upstream_requests == 2.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--clients", "0"], "--clients takes 1 to 5000"),
        (["--seconds", "601"], "--seconds takes 1 to 600"),
        (["--freshness", "50"], "could change twice between two looks"),
    ],
)
def test_sizes_that_a_run_could_not_keep_to_are_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        sizes_of(parse(arguments))


@pytest.mark.parametrize("arguments", [["--variants", "0"], ["--variants", "11"]])
def test_more_queries_than_clients_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="--variants takes 1 to 10"):
        variants_of(parse(arguments), SIZES)


def test_what_is_measured_can_be_chosen() -> None:
    assert names_of(parse(["--only", "items,ways"])) == ["ways", "items"]
    with pytest.raises(UsageError, match="--only takes some of ways, queries, items"):
        names_of(parse(["--only", "weather"]))
