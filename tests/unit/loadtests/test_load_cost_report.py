"""The migration's cost: its sizes, its table and its picture."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from loadtests.bench import UsageError
from loadtests.cost_report import CostReport, as_markdown, as_svg, merged
from loadtests.migration_cost import parse, sizes_of
from loadtests.picture import Panel, bars
from loadtests.ways import DIRECT, PUSH, THROUGH, WAYS, Cost, Sizes, intervals

SVG = "{http://www.w3.org/2000/svg}"
SIZES = Sizes(clients=10, orders=20, freshness_s=2.0, changes_per_second=1.0, seconds=5.0)


def a_cost(way: str, upstream_requests: float = 10.0) -> Cost:
    client_s, gateway_s = intervals(way, SIZES.freshness_s)
    measured = (5.0, 1024.0, upstream_requests, 2048.0, 3.0, 4.0, 990.0, 1980.0, 0.1)
    return Cost(way, client_s, gateway_s, 7.0, *measured)


def a_report(*costs: Cost) -> CostReport:
    machine = {"cpu": "c", "cores": 2, "memoryGiB": 1, "kernel": "k", "python": "3", "packages": {}}
    return CostReport("command", "2026-11-20T10:30:00Z", machine, SIZES, 1, list(costs))


@pytest.mark.parametrize("way", WAYS)
def test_by_every_way_a_change_waits_no_longer_than_was_promised(way: str) -> None:
    assert sum(intervals(way, 2.0)) == 2.0


def test_the_table_has_a_row_for_each_way_in_order_and_medians_of_the_rounds() -> None:
    rounds = [a_cost(PUSH, 1.0), a_cost(DIRECT, 250.0), a_cost(PUSH, 3.0), a_cost(PUSH, 2.0), a_cost(THROUGH)]

    costs = merged(rounds)
    table = [line for line in as_markdown(a_report(*rounds)).splitlines() if line.startswith("|")]

    assert [cost.way for cost in costs] == [DIRECT, THROUGH, PUSH]
    assert costs[2].upstream_requests == 2.0
    assert len(table) == 5
    assert len({line.count("|") for line in table}) == 1
    assert table[2].startswith("| polling the upstream | 2 s | never | 5.00 | 1.00 | 250 | 2.00 | none |")


def test_the_picture_is_svg_with_bars_in_proportion() -> None:
    root = ET.fromstring(bars("t", ["a", "b", "c", "d"], [Panel("p < q", [100.0, 25.0, 0.0, None])]))

    widths = [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect")]
    assert widths == [440.0, 110.0, 0.0, 0.0]
    assert [text.text for text in root.iter(f"{SVG}text")] == [
        "p < q",
        "a",
        "100",
        "b",
        "25.0",
        "c",
        "0",
        "d",
        "none",
    ]


def test_the_picture_of_a_run_has_a_bar_for_each_way_in_each_panel() -> None:
    root = ET.fromstring(as_svg(a_report(*(a_cost(way) for way in WAYS))))

    assert len(list(root.iter(f"{SVG}rect"))) == 7 * 3


def test_the_defaults_are_within_their_own_bounds() -> None:
    full, quick = sizes_of(parse([])), sizes_of(parse(["--quick"]))

    assert full.clients > quick.clients
    assert replace(full, seconds=1.0, changes_per_second=1.0).changes == 2


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
