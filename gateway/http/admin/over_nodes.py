"""Figures that are summed over nodes, as JSON: the sum, whose figures are in it, and each node's beside."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiohttp import web

from gateway.core.errors import BadParameter
from gateway.migration.node_summaries import LeftOut, NodeSummary
from gateway.migration.node_sums import ComponentSums, Summed

Members = Callable[[ComponentSums], dict[str, Any]]


def wants_each(request: web.Request) -> bool:
    """Whether each node's own figures are asked for. Raises BadParameter."""
    wanted = request.query.get("nodes", "false")
    if wanted not in ("true", "false"):
        raise BadParameter("nodes", "must be true or false")
    return wanted == "true"


def summed_members(
    request: web.Request, summed: Summed, left_out: Sequence[LeftOut], members: Members
) -> dict[str, Any]:
    """The members of the sum, `nodes`, and where `nodes=true` asks for it `byNode`."""
    names = node_names([*(summary for summary, _ in summed.each), *summed.unreadable])
    nodes = told_nodes([summary for summary, _ in summed.each], ())
    nodes += [_node(names[each.node], each) | {"leftOut": "unreadable"} for each in summed.unreadable]
    nodes += [_left_out(each) for each in left_out]
    answer = members(summed.together) | {"nodes": nodes}
    if wants_each(request):
        answer["byNode"] = {names[summary.node]: members(sums) for summary, sums in summed.each}
    return answer


def told_nodes(
    summaries: Sequence[NodeSummary], left_out: Sequence[LeftOut], unread: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Whose figures are in a sum, and whose are not, and why. `unread` are ids of some that can't be read."""
    names = node_names(summaries)
    nodes = [
        _node(names[one.node], one) | ({"leftOut": "unreadable"} if one.node in unread else {})
        for one in summaries
    ]
    return nodes + [_left_out(each) for each in left_out]


def node_names(summaries: Sequence[NodeSummary]) -> dict[str, str]:
    """What to call each node, by its id: its name, and where several have that, the id's beginning too."""
    counts = Counter(summary.name for summary in summaries)
    return {
        summary.node: summary.name if counts[summary.name] == 1 else f"{summary.name} ({summary.node[:6]})"
        for summary in summaries
    }


def _node(name: str, summary: NodeSummary) -> dict[str, Any]:
    return {"name": name, "ageSeconds": round(summary.age_seconds, 3), "gone": summary.is_gone}


def _left_out(left_out: LeftOut) -> dict[str, Any]:
    return {
        "name": left_out.name,
        "ageSeconds": round(left_out.age_seconds, 3),
        "gone": left_out.is_gone,
        "leftOut": left_out.reason,
    }
