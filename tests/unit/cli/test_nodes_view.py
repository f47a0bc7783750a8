"""Whose figures an answer holds, for people."""

import pytest

from gateway.cli.nodes_view import each_node_lines, whose_lines

SHARES = {"node": "a", "worker": None, "workers": 1, "sharesLog": True}
ALONE = SHARES | {"sharesLog": False}


def node(name: str, **members: object) -> dict[str, object]:
    return {"name": name, "ageSeconds": 1.2, "gone": False, **members}


def test_one_that_is_alone_says_nothing() -> None:
    assert whose_lines({"answeredBy": ALONE, "nodes": [node("a")]}) == []
    assert whose_lines({}) == []


def test_a_sum_says_over_how_many_nodes_and_which_are_gone() -> None:
    assert whose_lines({"answeredBy": SHARES, "nodes": [node("a")]}) == ["summed over 1 node"]
    gone = [node("b", gone=True, ageSeconds=35.4), node("c", gone=True)]
    assert whose_lines({"answeredBy": SHARES, "nodes": [node("a"), *gone]}) == [
        "summed over 3 nodes, of which b (35 s ago), c (1 s ago) are gone"
    ]


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("clock", "its clock is off"),
        ("version", "it is of another release"),
        ("unreadable", "what it says can't be read"),
        ("unreachable", "what the nodes share is out of reach"),
        ("moon", "moon"),
    ],
)
def test_it_says_who_is_left_out_and_why(reason: str, why: str) -> None:
    nodes = [node("a"), node("b", leftOut=reason)]
    assert whose_lines({"answeredBy": SHARES, "nodes": nodes}) == [
        "summed over 1 node",
        f"left out: b, for {why}",
    ]


def test_what_an_odd_gateway_says_steers_no_terminal() -> None:
    nodes = [
        node("a"),
        node("\x1b[2J", leftOut="\x1b[2J", ageSeconds="?"),
        3,
        node("c", gone=True, ageSeconds=None),
    ]
    assert "\x1b" not in "".join(whose_lines({"answeredBy": SHARES, "nodes": nodes}))


def test_each_node_stands_below_its_name() -> None:
    answer = {"byNode": {"a": {"polls": 1}, "b": {"polls": 2}, "c": 3}}
    assert each_node_lines(answer, lambda members: [f"{members['polls']} polls"]) == [
        *("", "a:", "  1 polls"),
        *("", "b:", "  2 polls"),
    ]
    assert each_node_lines({}, lambda members: ["never"]) == []
