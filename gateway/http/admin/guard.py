"""`GET /api/v1/admin/flags/{component}/guard`: what the guard makes of a component, and from what."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core.errors import NoSuchFlag
from gateway.http.admin.access import administrators_only
from gateway.http.admin.flags import FLAG_PATH
from gateway.http.admin.guard_view import guard_members, node_members
from gateway.http.admin.over_nodes import node_names, told_nodes, wants_each
from gateway.http.figures import figures_response
from gateway.migration.guard_loop import GuardLoop
from gateway.migration.guard_sums import GuardSums
from gateway.migration.node_summaries import NodeSummaries, NodeSummary


class GuardHandler:
    """Reads; changes nothing."""

    def __init__(self, guard_loop: GuardLoop, guard_sums: GuardSums, summaries: NodeSummaries) -> None:
        self._guard_loop = guard_loop
        self._guard_sums = guard_sums
        self._summaries = summaries

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(FLAG_PATH + "/guard", administrators_only(self.guard))

    async def guard(self, request: web.Request) -> web.Response:
        component = request.match_info["component"]
        each = wants_each(request)
        summaries = await self._summaries.read()
        report = await self._guard_loop.report(component)
        if report is None:
            raise NoSuchFlag(f"{component} has no flag.")
        nodes = told_nodes(summaries, self._summaries.left_out, self._guard_sums.unread)
        # What bounds there are is milliseconds of arithmetic.
        answer = await asyncio.to_thread(guard_members, report) | {"nodes": nodes}
        if each:
            answer["byNode"] = await self._by_node(component, summaries)
        return figures_response(request, answer)

    async def _by_node(self, component: str, summaries: Sequence[NodeSummary]) -> dict[str, Any]:
        names = node_names(summaries)
        own = next(summary.node for summary in summaries if summary.is_here)
        return {
            names[own if node is None else node]: node_members(tally)
            for node, tally in await self._guard_loop.by_node(component)
            if node is None or node in names
        }
