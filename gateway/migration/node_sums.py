"""What nodes count of each component and adds up: made of this node's parts, read of all, and summed.

In a node's content it is the member `sums`: {component: {"pollers", "keys", "telemetry", "parity"}}. What a
node that is gone has left goes on counting, but for parity: what was compared began anew with whoever
compares now, as it does with a restart.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from flags.guard import inventory_counts, keys_seen, telemetry_sums
from flags.guard.inventory_counts import InventoryCounts
from flags.guard.keys_seen import KeyCounts
from flags.guard.telemetry import Telemetry, TelemetryCounts
from flags.parity import report_wire
from flags.parity.report import ParityReport, combine
from flags.plain_json import as_object
from gateway.migration.node_summaries import NodeSummary
from gateway.migration.parity_sampler import ParitySampler
from gateway.migration.poll_inventory import PollInventory
from gateway.ports.clock import Clock

MOST_COMPONENTS = 1000
"""Of how many components sums are kept."""
_KEYS_SECONDS = 60.0 * keys_seen.MINUTES

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ComponentSums:
    """What is counted of one component, of one node or several. `parity` is None where nobody can compare."""

    pollers: InventoryCounts = field(default_factory=InventoryCounts)
    keys: KeyCounts = field(default_factory=KeyCounts)
    telemetry: TelemetryCounts = field(default_factory=TelemetryCounts)
    parity: ParityReport | None = None

    def wire(self) -> dict[str, Any]:
        """The JSON object from which `of` gives the sums back."""
        return {
            "pollers": self.pollers.wire(),
            "keys": self.keys.wire(),
            "telemetry": telemetry_sums.wire(self.telemetry),
            "parity": None if self.parity is None else report_wire.wire(self.parity),
        }

    @classmethod
    def of(cls, value: object) -> Self:
        """Raises ValueError where it is no such object. A member that is missing counts nothing."""
        members = as_object(value, 16)
        parity = members.get("parity")
        return cls(
            InventoryCounts.of(members["pollers"]) if "pollers" in members else InventoryCounts(),
            KeyCounts.of(members["keys"]) if "keys" in members else KeyCounts(),
            telemetry_sums.of(members["telemetry"]) if "telemetry" in members else TelemetryCounts(),
            None if parity is None else report_wire.of(parity),
        )

    def aged(self, seconds: float, *, gone: bool) -> "ComponentSums":
        """What they come to so much later; `gone` where their node counts no more."""
        return ComponentSums(
            self.pollers.aged(seconds, gone=gone),
            self.keys if seconds < _KEYS_SECONDS else KeyCounts(),
            self.telemetry,
            None if gone else self.parity,
        )

    def less(self, before: "ComponentSums") -> "ComponentSums":
        """What was counted since `before`, which the same node gave."""
        return ComponentSums(
            self.pollers.less(before.pollers),
            self.keys,
            telemetry_sums.less(self.telemetry, before.telemetry),
            self.parity,
        )


def merged(parts: Iterable[ComponentSums]) -> ComponentSums:
    """Those of several nodes together."""
    each = list(parts)
    reports = [part.parity for part in each if part.parity is not None]
    return ComponentSums(
        inventory_counts.merged(part.pollers for part in each),
        keys_seen.merged(part.keys for part in each),
        telemetry_sums.merged(part.telemetry for part in each),
        combine(reports) if reports else None,
    )


class SumsOfNode:
    """The sums of this node, from the parts that count."""

    def __init__(
        self, poll_inventory: PollInventory, telemetry: Telemetry, parity: ParitySampler, clock: Clock
    ) -> None:
        self._poll_inventory = poll_inventory
        self._telemetry = telemetry
        self._parity = parity
        self._clock = clock

    async def __call__(self) -> dict[str, Any]:
        """By component, as JSON."""
        now, reports = self._clock.monotonic(), self._parity.reports()
        components = {*self._poll_inventory.components(), *self._telemetry.components(), *reports}
        return {
            component: ComponentSums(
                self._poll_inventory.counts(component, now) or InventoryCounts(),
                self._poll_inventory.keys(component, now),
                self._telemetry.counts(component),
                reports.get(component),
            ).wire()
            for component in sorted(components)[:MOST_COMPONENTS]
        }


class Folding:
    """What NodeSummaries does with sums (`gateway.migration.node_summaries.Sums`)."""

    def check(self, sums: object) -> None:
        for value in as_object(sums, MOST_COMPONENTS).values():
            ComponentSums.of(value)

    def fold(self, parts: Sequence[tuple[Content, float]]) -> dict[str, Any]:
        """As `Sums.fold`. What can't be read of a component is not in the sum."""
        by_component: dict[str, list[ComponentSums]] = {}
        for sums, age_seconds in parts:
            for component, value in sums.items():
                read = _read(value)
                if read is not None:
                    by_component.setdefault(component, []).append(read.aged(age_seconds, gone=True))
        kept = list(by_component.items())[:MOST_COMPONENTS]
        return {component: merged(each).wire() for component, each in kept}

    def less(self, sums: Content, before: Content) -> dict[str, Any]:
        return {
            component: ComponentSums.of(value).less(ComponentSums.of(before.get(component, {}))).wire()
            for component, value in sums.items()
        }


class Summed(NamedTuple):
    """The sum of a component over all nodes, what each of them gave, and whose could not be read."""

    together: ComponentSums
    each: Sequence[tuple[NodeSummary, ComponentSums]]
    unreadable: Sequence[NodeSummary]


def summed(component: str, summaries: Iterable[NodeSummary]) -> Summed:
    """The component's sums. Each node's are as of now: older by the age of its summary."""
    each: list[tuple[NodeSummary, ComponentSums]] = []
    unreadable: list[NodeSummary] = []
    for summary in summaries:
        sums = summary.content.get("sums", {})
        read = _read(sums.get(component, {})) if isinstance(sums, Mapping) else None
        if read is None:
            unreadable.append(summary)
        else:
            each.append((summary, read.aged(summary.age_seconds, gone=summary.is_gone)))
    return Summed(merged(sums for _, sums in each), each, unreadable)


def _read(value: object) -> ComponentSums | None:
    try:
        return ComponentSums.of(value)
    except ValueError:
        return None


Maker = Callable[[], Awaitable[Any]]
"""Makes one member, as JSON's types. What takes long is done a piece at a time, or in a thread."""


class ContentOfNode:
    """A node's content: each member by the name of the part that makes it.

    A part may be added to `makers` later, as long as the node has not begun.
    """

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self._makers = makers

    async def __call__(self) -> dict[str, Any]:
        return {name: await make() for name, make in self._makers.items()}
