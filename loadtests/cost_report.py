"""What the migration's cost came to: a table and a picture for docs/performance.md, JSON for later."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from loadtests.all_items import Amounts, Changed
from loadtests.picture import Panel, bars, number
from loadtests.report import machine_line, markdown_table
from loadtests.ways import DIRECT, WAYS, Cost, Sizes

# From here on the generator, and not the servers, may be what sets the times.
GENERATOR_FULL = 0.9


@dataclass(slots=True)
class CostReport:
    """Everything that one run measured: `costs` of one list, `queries` of as many clients of `variants`
    queries, `changed` of lists of which all items change."""

    command: str
    date: str
    machine: dict[str, Any]
    sizes: Sizes
    variants: int
    amounts: Amounts
    rounds: int
    costs: list[Cost] = field(default_factory=list)
    queries: list[Cost] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
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


def describe_queries(report: CostReport) -> list[str]:
    """What was done with the queries, in words."""
    return [
        f"As many clients ({report.sizes.clients:,}), orders and changes; each client asks for one of "
        f"{report.variants} statuses (`?status=s3`), in turns; those of the last one write a new "
        "`&_=<time>` with each request, and have no ETag to send. The route has "
        '`vary_query = ["status"]` and `ignore_query = ["_"]`.',
        "Each answer had the orders of its query and no others, and every client saw every change of its "
        "own. The upstream counts its requests itself.",
    ]


def describe_changed(report: CostReport) -> list[str]:
    """What was done with the list of which all items change, in words."""
    amounts = report.amounts
    return [
        f"A list of {amounts.items:,} items of about {amounts.size:,} bytes, polled every "
        f"{amounts.interval_s:g} s, and {amounts.streams} streams. One member of every item changes at once; "
        f"changes with the same servers: {amounts.rounds}; rounds with fresh ones: {report.rounds}. The "
        "median, and the most.",
        f"Each stream got {amounts.items:,} events a change, each once, in the order of the list, with the "
        "whole item and the whole one from before. The seconds are from the change until the last stream has "
        "the last one, with the wait for the poll.",
        "The hold is measured from inside the gateway's loop, by a timer of 1 ms: by how much it rang late, "
        "and how much CPU the loop's thread used meanwhile, in one turn of the loop or some that took under "
        "1 ms together. By the clock it has in it what else took the core.",
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


QUERIES_HEADER = (*HEADER[:6], "of them with `_`", *HEADER[6:])


def query_rows(costs: Sequence[Cost]) -> list[Sequence[str]]:
    """The cells of the queries' table, without the header."""
    return [
        (*row[:6], number(cost.busted_requests), *row[6:])
        for row, cost in zip(rows(costs), costs, strict=True)
    ]


CHANGED_HEADER = ("", "seconds", "gateway CPU s", "CPU µs/event", "longest hold ms", "longest hold, CPU ms")


def changed_rows(changed: Sequence[Changed], amounts: Amounts) -> list[Sequence[str]]:
    """The median of all changes, and the largest of each figure."""
    found: list[Sequence[str]] = []
    for name, of in (("median", statistics.median), ("most", max)):
        cpu_s = of([one.cpu_s for one in changed])
        found.append(
            (
                name,
                f"{of([one.seconds for one in changed]):.1f}",
                f"{cpu_s:.2f}",
                f"{cpu_s * 1e6 / amounts.items:.0f}",
                f"{of([one.hold_ms for one in changed]):.1f}",
                f"{of([one.hold_cpu_ms for one in changed]):.1f}",
            )
        )
    return found


def as_markdown(report: CostReport) -> str:
    """The section's text and its tables, of what was measured."""
    parts = [machine_line(report.date, report.machine, report.command, report.seconds), ""]
    if report.costs:
        parts += [f"- {line}" for line in describe(report)]
        parts += ["", f"| {' | '.join(HEADER)} |", "| --- |" + " ---: |" * (len(HEADER) - 1)]
        parts += [f"| {' | '.join(row)} |" for row in rows(merged(report.costs))]
        parts += [""]
    for title, lines, header, cells in (
        (
            f"Clients of {report.variants} queries",
            describe_queries(report),
            QUERIES_HEADER,
            query_rows(merged(report.queries)),
        ),
        (
            "A list of which every item changes",
            describe_changed(report),
            CHANGED_HEADER,
            changed_rows(report.changed, report.amounts) if report.changed else [],
        ),
    ):
        if cells:
            heading, empty, *table = markdown_table(title, header, cells, left=1)
            parts += [heading, empty, *(f"- {line}" for line in lines), "", *table, ""]
    return "\n".join(parts).rstrip() + "\n"


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
        for cost in (*report.costs, *report.queries)
        if cost.generator_cpu_share > GENERATOR_FULL
    ]
