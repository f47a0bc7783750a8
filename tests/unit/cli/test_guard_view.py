"""The guard's view of a component, as lines for people."""

from typing import Any

from gateway.cli.guard_view import guard_lines


def cells(answer: dict[str, Any]) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in guard_lines(answer)]


def test_the_guards_figures_have_units_and_are_rounded() -> None:
    metrics = {
        "pushLagP99Ms": {"value": 701.8123, "samples": 3, "promote": 1000, "fail": 5000, "measured": True},
        "consistency": {"value": 0.98765432, "samples": 9, "promote": 0.999, "fail": 0.99, "measured": True},
        "fallbackRate": {"value": None, "samples": 0, "promote": 0.01, "fail": 0.05, "measured": False},
    }
    shown = cells({"component": "orders", "metrics": metrics})
    assert ["pushLagP99Ms", "702 ms", "3", "1000 ms", "5000 ms"] in shown
    assert ["consistency", "98.76 %", "9", "99.9 %", "99 %"] in shown
    assert ["fallbackRate", "-", "0", "1 %", "5 %", "not measured"] in shown


COMPARED = {
    "unit": "callers",
    "streaming": {"count": 120, "share": 0.05},
    "polling": {"count": 900, "share": 0.01},
    "harm": 0.04,
    "low": 0.003,
    "high": 0.121,
    "margin": 0.04,
    "outcome": "undecided",
    "moreWanted": 240,
    "measured": True,
}


def test_both_cohorts_stand_side_by_side_with_bounds_and_margin() -> None:
    cohorts = {"streaming": 120, "polling": 900, "metrics": {"errorRate": COMPARED}}

    lines = guard_lines({"cohorts": cohorts, "confidence": 0.95})

    assert any(
        line.startswith("120 callers stream and 900 poll by the percentage") and "95 %" in line
        for line in lines
    )
    row = ["an error", "5 % of 120", "1 % of 900", "4", "0.3 to 12.1", "4", "open", "about 240 callers"]
    assert row in cells({"cohorts": cohorts})


def test_where_there_is_no_control_it_says_why() -> None:
    assert "Nobody is drawn." in guard_lines({"cohorts": {"metrics": None, "why": "Nobody is drawn."}})


def test_failing_polls_of_the_gateways_own_are_told() -> None:
    lines = guard_lines({"ownPolls": {"succeeded": 3, "failed": 2}})

    assert "2 of the gateway's own polls failed, 3 did not: that hits both sides" in lines


def test_of_one_node_it_shows_what_it_saw() -> None:
    (line,) = guard_lines({"streams": 3, "callers": {"treated": 2, "control": 5}, "pushLagP99Ms": 12.1})

    assert line.startswith("3 streams open; callers: 2 treated, 5 control")


def test_whatever_a_gateway_says_instead_nothing_breaks() -> None:
    for odd in (7, "x", [], {"metrics": 3}, {"metrics": {"errorRate": 4}}, {"metrics": {"errorRate": {}}}):
        assert guard_lines({"cohorts": odd, "ownPolls": odd, "metrics": odd})
