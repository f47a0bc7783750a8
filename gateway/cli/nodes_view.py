"""Whose figures an answer of the administration holds, as lines for people; and those of each node."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.cli.terminal import printable

Members = Mapping[str, Any]

_WHY = {
    "clock": "its clock is off",
    "version": "it is of another release",
    "unreadable": "what it says can't be read",
    "unreachable": "what the nodes share is out of reach",
}


def whose_lines(answer: Members) -> list[str]:
    """Over how many nodes the figures are summed, which are gone, and which were left out and why.

    Nothing where there is one node, and can be no other.
    """
    process, nodes = answer.get("answeredBy"), answer.get("nodes")
    if not isinstance(process, Mapping):
        return []
    if not isinstance(nodes, list):
        return _of_one_process(process)
    given = [node for node in nodes if isinstance(node, Mapping)]
    if len(given) < 2 and not process.get("sharesLog"):
        return []
    counted = [node for node in given if node.get("leftOut") is None]
    gone = [f"{_text(node.get('name'))} ({_age(node)})" for node in counted if node.get("gone")]
    lines = [f"summed over {len(counted)} node{'s' * (len(counted) != 1)}"]
    if gone:
        lines[0] += f", of which {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone"
    return lines + [
        f"left out: {_text(node.get('name'))}, for {_WHY.get(str(node['leftOut']), _text(node['leftOut']))}"
        for node in given
        if node.get("leftOut") is not None
    ]


def each_node_lines(answer: Members, lines: Callable[[Members], list[str]]) -> Sequence[str]:
    """What `lines` shows of each node, below its name; nothing where the answer has no node's own figures."""
    by_node = answer.get("byNode")
    shown: list[str] = []
    for name, members in by_node.items() if isinstance(by_node, Mapping) else ():
        if isinstance(members, Mapping):
            shown += ["", f"{_text(name)}:", *(f"  {line}" for line in lines(members))]
    return shown


def _of_one_process(process: Members) -> list[str]:
    """What a gateway says that does not sum."""
    lines = []
    if process.get("worker") is not None:
        lines.append(
            f"these are the figures of worker {_text(process.get('worker'))} of "
            f"{_text(process.get('workers'))} alone: each counts what it saw itself"
        )
    if process.get("sharesLog"):
        lines.append(
            f"other nodes that share the log have figures of their own: this is {_text(process.get('node'))}"
        )
    return lines


def _age(node: Members) -> str:
    age = node.get("ageSeconds")
    return f"{age:.0f} s ago" if isinstance(age, int | float) else "-"


def _text(value: object) -> str:
    return "-" if value is None else printable(str(value))
