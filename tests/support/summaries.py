"""Nodes that tell one another what they have counted, moved by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.migration.node_summaries import NodeSummaries
from gateway.ports.clock import Clock
from gateway.ports.shared import SharedStore
from gateway.runtime.leases import SharedLeases

RETAIN_SECONDS = 60.0


class Adding:
    """Sums that are {"polls": count}; whatever else is there is refused."""

    def check(self, sums: object) -> None:
        if not isinstance(sums, dict) or not all(type(count) is int for count in sums.values()):
            raise ValueError("no sums")

    def fold(self, parts: Sequence[tuple[Mapping[str, Any], float]]) -> Mapping[str, Any]:
        return {"polls": sum(sums.get("polls", 0) for sums, _ in parts)}

    def less(self, sums: Mapping[str, Any], before: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"polls": sums["polls"] - before.get("polls", 0)}


class CountingNode:
    """A node called `name` that has counted `polls`, and its clock."""

    def __init__(self, store: SharedStore, clock: Clock, name: str, lease_clock: Clock | None = None) -> None:
        self.polls = 0
        self.more: dict[str, Any] = {}
        self.had_lease = False
        """Whether it had the lease when it made its content last."""
        leases = SharedLeases(store, name, lease_clock or clock)
        self.summaries = NodeSummaries(
            *(leases, clock, name, self._content, Adding()), retain_seconds=lambda: RETAIN_SECONDS
        )

    async def tick(self, polls: int = 0) -> None:
        """A second's work, after so many polls more."""
        self.polls += polls
        await self.summaries.tick()

    async def sum(self) -> int:
        """The polls of all nodes."""
        return sum(summary.content["sums"].get("polls", 0) for summary in await self.summaries.read())

    async def gone(self) -> list[str]:
        """The names of those that are gone."""
        return sorted(summary.name for summary in await self.summaries.read() if summary.is_gone)

    async def _content(self) -> dict[str, Any]:
        self.had_lease = self.summaries.has_lease
        return {"sums": {"polls": self.polls}, **self.more}
