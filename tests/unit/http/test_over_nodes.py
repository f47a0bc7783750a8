"""Figures of several nodes in one answer."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.core.errors import BadParameter
from gateway.http.admin.over_nodes import node_names, summed_members, wants_each
from gateway.migration.node_summaries import LeftOut, NodeSummary
from gateway.migration.node_sums import ComponentSums, summed


def node(node_id: str, name: str, content: Any = None, *, gone: bool = False) -> NodeSummary:
    return NodeSummary(node_id, name, 1.5, False, gone, {"sums": {}} if content is None else content)


def members(sums: ComponentSums) -> dict[str, Any]:
    return {"polls": sums.pollers.report().polls}


def answer(query: str = "") -> dict[str, Any]:
    request = make_mocked_request("GET", f"/pollers{query}")
    found = summed("orders", [node("1", "a"), node("2", "b", gone=True), node("3", "c", {"sums": 1})])
    return summed_members(request, found, [LeftOut("d", "clock", 2.0)], members)


def test_it_says_whose_figures_are_in_it_and_whose_are_not() -> None:
    assert answer() == {
        "polls": 0,
        "nodes": [
            {"name": "a", "ageSeconds": 1.5, "gone": False},
            {"name": "b", "ageSeconds": 1.5, "gone": True},
            {"name": "c", "ageSeconds": 1.5, "gone": False, "leftOut": "unreadable"},
            {"name": "d", "ageSeconds": 2.0, "gone": False, "leftOut": "clock"},
        ],
    }


def test_each_node_s_own_are_there_for_whoever_asks() -> None:
    assert answer("?nodes=true")["byNode"] == {"a": {"polls": 0}, "b": {"polls": 0}}
    assert "byNode" not in answer("?nodes=false")


def test_anything_else_is_refused() -> None:
    with pytest.raises(BadParameter):
        wants_each(make_mocked_request("GET", "/pollers?nodes=yes"))


def test_nodes_of_one_name_are_told_apart() -> None:
    names = node_names([node("abcdef01", "a"), node("fedcba01", "a"), node("0", "b")])
    assert list(names.values()) == ["a (abcdef)", "a (fedcba)", "b"]
