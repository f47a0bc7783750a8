"""What a run of the logs' benchmark found: as Markdown for docs/performance.md, as JSON for later."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests.log_loads import Result
from loadtests.report import CORE_TAKEN, GENERATOR_FULL, Row, Table, Verdict, version_of

PACKAGES = ("aiohttp", "aiopg", "psycopg2-binary", "redis", "hiredis", "uvloop", "orjson", "tidegate")
P50_TARGET_MS = 10.0
P99_TARGET_MS = 50.0
SPEED_TARGETS = {"postgres": 5_000, "redis": 20_000}


@dataclass(slots=True)
class LogReport:
    """Everything that one run measured. `stores` says which servers the logs were on, `sizes` how much was
    done, in words."""

    command: str
    date: str
    machine: dict[str, Any]
    sizes: list[str]
    stores: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The raw results of every round, and the verdicts."""
        return {**asdict(self), "targets": [asdict(verdict) for verdict in verdicts(self)]}


def merged(results: Sequence[Result]) -> list[list[Result]]:
    """The rounds of each load together, in the order in which the loads were first carried."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for one in results:
        groups.setdefault((one.kind, one.log, one.way, one.batch, one.rate), []).append(one)
    return list(groups.values())


def _median(rounds: Sequence[Result], name: str) -> float:
    return statistics.median(getattr(one, name) for one in rounds)


def verdicts(report: LogReport) -> list[Verdict]:
    """The targets held against the medians; what was not measured is left out."""
    found = []
    for rounds in merged(report.results):
        first = rounds[0]
        if first.kind == "paced" and first.log in SPEED_TARGETS:
            p50, p99 = _median(rounds, "latency_p50_ms"), _median(rounds, "latency_p99_ms")
            found.append(
                Verdict(
                    f"{first.log}, {first.way}, {first.rate:,.0f} events/s: "
                    f"p50 under {P50_TARGET_MS:.0f} ms, p99 under {P99_TARGET_MS:.0f} ms",
                    f"{p50:.1f} and {p99:.1f} ms",
                    p50 < P50_TARGET_MS and p99 < P99_TARGET_MS,
                )
            )
    for log, target in SPEED_TARGETS.items():
        speeds = [
            _median(rounds, "events_per_second")
            for rounds in merged(report.results)
            if rounds[0].kind == "full speed" and rounds[0].log == log
        ]
        if speeds:
            found.append(
                Verdict(
                    f"{log}: {target:,} events/s to one subscriber, the better way",
                    f"{max(speeds):,.0f}",
                    max(speeds) >= target,
                )
            )
    return found


def tables(report: LogReport) -> list[Table]:
    """The results as (title, header, rows); a table without rows is left out."""
    groups = merged(report.results)
    kinds = {
        kind: [rounds for rounds in groups if rounds[0].kind == kind]
        for kind in ("paced", "full speed", "catch-up")
    }
    latency_head = ("log", "by", "events/s", "events", "p50 ms", "p99 ms", "gateway CPU", "core taken")
    speed_head = ("log", "by", "at a time", "events", "events/s", "CPU µs/event", *_SHARES)
    behind_head = ("log", "events behind", "events/s", "CPU µs/event", *_SHARES)
    found: list[Table] = [
        ("Commit to client", latency_head, [_latency_row(rounds) for rounds in kinds["paced"]]),
        (
            "Sustained, to one subscriber",
            speed_head,
            [
                (first.log, first.way, f"{first.batch}", f"{_median(rounds, 'events'):,.0f}", *_speed(rounds))
                for rounds in kinds["full speed"]
                for first in rounds[:1]
            ],
        ),
        (
            "Catching up, out of the log",
            behind_head,
            [(rounds[0].log, f"{rounds[0].events:,}", *_speed(rounds)) for rounds in kinds["catch-up"]],
        ),
        (
            "Targets",
            ("target", "measured", ""),
            [(v.target, v.measured, "met" if v.met else "not met") for v in verdicts(report)],
        ),
    ]
    return [table for table in found if table[2]]


_SHARES = ("gateway CPU", "core taken", "generator CPU")


def _latency_row(rounds: Sequence[Result]) -> Row:
    first = rounds[0]
    return (
        first.log,
        first.way,
        f"{first.rate:,.0f}",
        f"{first.events:,}",
        f"{_median(rounds, 'latency_p50_ms'):.1f}",
        f"{_median(rounds, 'latency_p99_ms'):.1f}",
        f"{_median(rounds, 'server_cpu_share'):.0%}",
        f"{_median(rounds, 'server_wait_share'):.0%}",
    )


def _speed(rounds: Sequence[Result]) -> Row:
    return (
        f"{_median(rounds, 'events_per_second'):,.0f}",
        f"{_median(rounds, 'cpu_us_per_event'):.1f}",
        f"{_median(rounds, 'server_cpu_share'):.0%}",
        f"{_median(rounds, 'server_wait_share'):.0%}",
        f"{_median(rounds, 'generator_cpu_share'):.0%}",
    )


def disturbances(report: LogReport) -> list[str]:
    """The loads whose figures say less about the gateway than they seem to."""
    found = []
    for one in report.results:
        where = f"{one.log}, {one.way}, {one.kind}"
        if one.server_wait_share > CORE_TAKEN:
            found.append(f"{where}: something else had the gateway's core {one.server_wait_share:.0%}")
        if one.kind != "paced" and one.generator_cpu_share > GENERATOR_FULL:
            found.append(f"{where}: the generator's core was full, and may have set the pace")
    return found


def as_markdown(report: LogReport) -> str:
    """As docs/performance.md has it."""
    machine = report.machine
    numbers = {name: version_of(name) for name in PACKAGES}
    packages = ", ".join(f"{name} {number}" for name, number in numbers.items() if number)
    parts = [
        f"{report.date}: {machine['cpu']}, {machine['cores']} cores, {machine['memoryGiB']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}, {packages}; "
        f"load {machine['loadAverageAtStart']:.1f} at the start; `{report.command}`, {report.seconds:.0f} s.",
        "",
        *(f"- {line}" for line in (*report.stores, *report.sizes)),
    ]
    for title, header, rows in tables(report):
        left = len(header) if title == "Targets" else 2
        parts += ["", f"### {title}", "", f"| {' | '.join(header)} |"]
        parts.append("| " + " | ".join("---" if n < left else "---:" for n in range(len(header))) + " |")
        parts += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(parts)
