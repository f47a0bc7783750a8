"""What the migration's cost came to: a table and a picture for docs/performance.md, JSON for later."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from loadtests.picture import Panel, bars, number
from loadtests.report import machine_line
from loadtests.ways import DIRECT, WAYS, Cost, Sizes

# From here on the generator, and not the servers, may be what sets the times.
GENERATOR_FULL = 0.9


@dataclass(slots=True)
class CostReport:
    """Everything that one run measured."""

    command: str
    date: str
    machine: dict[str, Any]
    sizes: Sizes
    rounds: int
    costs: list[Cost] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The raw results of every round."""
        return asdict(self)


def merged(costs: Iterable[Cost]) -> list[Cost]:
    """One cost for each way, in the order of WAYS: medians over the rounds, field by field."""
    found = []
    by_way: dict[str, list[Cost]] = {}
    for cost in costs:
        by_way.setdefault(cost.way, []).append(cost)
    for way in WAYS:
        if way in by_way:
            group = by_way[way]
            medians = {
                name: statistics.median(getattr(cost, name) for cost in group)
                for name, value in asdict(group[0]).items()
                if isinstance(value, float)
            }
            found.append(replace(group[0], **medians))
    return found


def describe(report: CostReport) -> list[str]:
    """What was done, in words."""
    sizes = report.sizes
    return [
        f"{sizes.clients:,} clients of a list of {sizes.orders:,} orders; {sizes.changes_per_second:g} "
        f"changes a second for {sizes.seconds:g} s. Rounds with fresh servers: {report.rounds}; medians.",
        f"The same freshness: by every way a change is at most {sizes.freshness_s:g} s old when a client "
        "sees it (and on average half of that), but for the time of an answer. Where it waits twice, for the "
        "gateway's poll and the client's, both intervals are half as long.",
        "Pollers send the ETag they have and keep their connections open. The upstream's CPU has the changes "
        "themselves in it, by every way as many. Both servers are on one core, the clients on another.",
        "Every client saw every change; who is pushed to, once.",
    ]


def rows(costs: Sequence[Cost]) -> list[Sequence[str]]:
    """The table's cells, without the header."""
    return [
        (
            cost.way,
            _interval(cost.client_interval_s),
            _interval(cost.gateway_interval_s),
            number(cost.client_requests),
            number(cost.client_bytes / 1024),
            number(cost.upstream_requests),
            number(cost.upstream_bytes / 1024),
            "none" if cost.way == DIRECT else number(cost.gateway_cpu_ms),
            number(cost.upstream_cpu_ms),
            f"{cost.staleness_p50_ms:,.0f}",
            f"{cost.staleness_p99_ms:,.0f}",
        )
        for cost in costs
    ]


HEADER = (
    "way",
    "clients poll every",
    "gateway polls every",
    "requests/s by clients",
    "KiB/s by clients",
    "requests/s at the upstream",
    "KiB/s at the upstream",
    "gateway CPU ms/s",
    "upstream CPU ms/s",
    "staleness p50 ms",
    "p99 ms",
)


def _interval(seconds: float) -> str:
    return f"{seconds:g} s" if seconds else "never"


def as_markdown(report: CostReport) -> str:
    """The section's text and its table."""
    parts = [machine_line(report.date, report.machine, report.command, report.seconds), ""]
    parts += [f"- {line}" for line in describe(report)]
    parts += ["", f"| {' | '.join(HEADER)} |", "| --- |" + " ---: |" * (len(HEADER) - 1)]
    parts += [f"| {' | '.join(row)} |" for row in rows(merged(report.costs))]
    return "\n".join([*parts, ""])


def as_svg(report: CostReport) -> str:
    """The picture."""
    costs = merged(report.costs)
    sizes = report.sizes
    panels = [
        Panel("Requests a second at the upstream", [cost.upstream_requests for cost in costs]),
        Panel("Requests a second by the clients", [cost.client_requests for cost in costs]),
        Panel(
            "KiB a second between the clients and what they ask", [cost.client_bytes / 1024 for cost in costs]
        ),
        Panel("CPU of the upstream, ms a second", [cost.upstream_cpu_ms for cost in costs]),
        Panel(
            "CPU of the gateway, ms a second",
            [None if cost.way == DIRECT else cost.gateway_cpu_ms for cost in costs],
        ),
        Panel("Age of a change when a client sees it, median, ms", [cost.staleness_p50_ms for cost in costs]),
        Panel("The same, 99th percentile, ms", [cost.staleness_p99_ms for cost in costs]),
    ]
    title = f"What {sizes.clients:,} clients cost that see every change within {sizes.freshness_s:g} s"
    return bars(title, [cost.way for cost in costs], panels)


def disturbances(report: CostReport) -> list[str]:
    """The rounds whose times say more of the generator than of the servers."""
    return [
        f"{cost.way}: the clients' core was busy for {cost.generator_cpu_share:.0%} of the time"
        for cost in report.costs
        if cost.generator_cpu_share > GENERATOR_FULL
    ]
