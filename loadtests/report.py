"""What a run found: as tables for people, as Markdown for docs/performance.md, as JSON for later."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loadtests.measure import BATCHES_FULL, SINGLE, SINGLES_FULL, EntityResult, LoadResult, MemoryResult

PACKAGES = ("aiohttp", "aiohttp-sse", "uvloop", "orjson", "tidegate")
CPU_RATIO_TARGET = 0.35
SPEED_RATIO_TARGET = 10.0
MEMORY_TARGET_BYTES = 4096
# From here on the generator's core, and not the server, may be what sets the pace.
GENERATOR_FULL = 0.9
# The share of the time, waiting for the core, above which a load's times are called disturbed.
CORE_TAKEN = 0.1
# In place of a figure, where one side of a target is absent.
NOT_MEASURED = "not measured"

Row = Sequence[str]
# Title, header, rows.
Table = tuple[str, Row, list[Row]]


@dataclass(slots=True)
class Report:
    """Everything that one run measured. `sizes` says how much of each load was done, in words."""

    command: str
    date: str
    machine: dict[str, Any]
    sizes: list[str] = field(default_factory=list)
    memory: list[MemoryResult] = field(default_factory=list)
    loads: list[LoadResult] = field(default_factory=list)
    entities: list[EntityResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The raw results of every round, and the verdicts."""
        return {**asdict(self), "targets": [asdict(verdict) for verdict in verdicts(self)]}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: what was to be reached, what was, and whether it is."""

    target: str
    measured: str
    met: bool


def describe_machine() -> dict[str, Any]:
    """The processor, the system and the versions that the figures depend on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadAverageAtStart": os.getloadavg()[0],
        "packages": {name: version_of(name) for name in PACKAGES},
    }


def version_of(package: str) -> str | None:
    """Which version of a package is installed, None where none is."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def merged_loads(results: Iterable[LoadResult]) -> list[LoadResult]:
    """One result for each server, load and number of streams: medians over the rounds, field by field."""
    groups: dict[tuple[str, int, str], list[LoadResult]] = {}
    for result in results:
        groups.setdefault((result.load, result.streams, result.server), []).append(result)
    merged = []
    for group in groups.values():
        numbers = {
            name: statistics.median(getattr(result, name) for result in group)
            for name, value in asdict(group[0]).items()
            if isinstance(value, float)
        }
        # The time limit of a load may end it earlier in one round than in another.
        counts = {
            name: statistics.median_low(getattr(result, name) for result in group)
            for name in ("events", "deliveries")
        }
        merged.append(replace(group[0], **numbers, **counts))
    return merged


def _bytes_per_stream(report: Report, server: str, streams: int) -> float:
    return statistics.median(
        result.bytes_per_stream
        for result in report.memory
        if (result.server, result.streams) == (server, streams)
    )


def verdicts(report: Report) -> list[Verdict]:
    """The targets held against the results; those of which a side was not measured are left out."""
    found = []
    loads = {(load.load, load.streams, load.server): load for load in merged_loads(report.loads)}
    for (name, streams, server), ours in loads.items():
        theirs = loads.get((name, streams, "baseline"))
        if server == "gateway" and theirs is not None:
            found.append(_against_baseline(ours, theirs))
    counts = sorted({result.streams for result in report.memory if result.server == "gateway"})
    for streams in counts[-1:]:
        each = _bytes_per_stream(report, "gateway", streams)
        found.append(
            Verdict(
                f"at most 4 KiB resident for an idle stream, of {streams:,}",
                f"{each / 1024:.2f} KiB",
                each <= MEMORY_TARGET_BYTES,
            )
        )
    ours_entities = [result for result in report.entities if result.server == "gateway"]
    if len(ours_entities) == 2:
        found.append(_entity_verdict(*ours_entities))
    return found


def _against_baseline(ours: LoadResult, theirs: LoadResult) -> Verdict:
    if ours.load == SINGLE:
        ratio = ours.cpu_us_per_delivery / theirs.cpu_us_per_delivery
        return Verdict(
            f"CPU per delivery at most {CPU_RATIO_TARGET} of the baseline's; "
            f"{ours.load}, {ours.streams:,} streams",
            f"{ratio:.3f}",
            ratio <= CPU_RATIO_TARGET,
        )
    ratio = ours.deliveries_per_second / theirs.deliveries_per_second
    # A lower bound is said to be one: with a second generator it could only be more.
    bound = "at least " if ours.generator_cpu_share > GENERATOR_FULL else ""
    return Verdict(
        f"deliveries a second at least {SPEED_RATIO_TARGET:.0f} times the baseline's; "
        f"{ours.load}, {ours.streams:,} streams",
        f"{bound}{ratio:.1f} times",
        ratio >= SPEED_RATIO_TARGET,
    )


def _entity_verdict(few: EntityResult, many: EntityResult) -> Verdict:
    noise = max(few.spread_us, many.spread_us)
    return Verdict(
        f"an event for one of {many.streams:,} streams costs no more CPU than for one of {few.streams:,}, "
        "within noise (the larger interquartile range)",
        f"{many.median_us:.0f} against {few.median_us:.0f} µs, noise {noise:.0f} µs",
        many.median_us <= few.median_us + noise,
    )


def tables(report: Report) -> list[Table]:
    """The results as (title, header, rows); a table without rows is left out."""
    memory: list[Row] = [
        (server, f"{streams:,}", f"{_bytes_per_stream(report, server, streams) / 1024:.2f}")
        for server, streams in dict.fromkeys((m.server, m.streams) for m in report.memory)
    ]
    entities: list[Row] = [
        (
            result.server,
            f"{result.streams:,}",
            f"{result.median_us:.0f}",
            f"{result.spread_us:.0f}",
            f"{len(result.cpu_us_per_event)} x {result.events_per_round}",
        )
        for result in report.entities
    ]
    checks: list[Row] = [(v.target, v.measured, "met" if v.met else "not met") for v in verdicts(report)]
    found: list[Table] = [
        (
            "Resident memory (Rss of smaps_rollup, after minus before)",
            ("server", "streams", "KiB/stream"),
            memory,
        ),
        *_load_tables(report),
        (
            "An event for one of many streams with an entity each",
            ("server", "streams", "CPU µs/event", "IQR µs", "rounds x events"),
            entities,
        ),
        ("Targets", ("target", "measured", ""), checks),
    ]
    return [table for table in found if table[2]]


def _load_tables(report: Report) -> list[Table]:
    header = (
        "server",
        "streams",
        "events",
        "CPU µs/delivery",
        "kernel",
        "deliveries/s",
        "p50 ms",
        "p99 ms",
        "bytes/delivery",
        "server CPU",
        "core taken",
        "generator CPU",
    )
    loads = merged_loads(report.loads)
    return [
        (name[0].upper() + name[1:], header, [_load_row(load) for load in loads if load.load == name])
        for name in (SINGLE, SINGLES_FULL, BATCHES_FULL)
    ]


def _load_row(load: LoadResult) -> Row:
    return (
        load.server,
        f"{load.streams:,}",
        f"{load.events:,}",
        f"{load.cpu_us_per_delivery:.2f}",
        f"{load.cpu_system_share:.0%}",
        # One by one is paced: its rate is the pace, not a speed.
        "(paced)" if load.load == SINGLE else f"{load.deliveries_per_second:,.0f}",
        f"{load.latency_p50_ms:.1f}",
        f"{load.latency_p99_ms:.1f}",
        f"{load.bytes_per_delivery:.0f}",
        f"{load.server_cpu_share:.0%}",
        f"{load.server_wait_share:.0%}",
        f"{load.generator_cpu_share:.0%}",
    )


def disturbances(report: Report) -> list[str]:
    """The loads during which something else had the server's core: their speed and latency are too bad."""
    return [
        f"{load.server}, {load.streams:,} streams, {load.load}: "
        f"something else had the server's core for {load.server_wait_share:.0%} of the time"
        for load in report.loads
        if load.server_wait_share > CORE_TAKEN
    ]


def as_text(report: Report) -> str:
    """For a terminal: aligned columns."""
    parts = [_machine_line(report), *report.sizes]
    for title, header, rows in tables(report):
        widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
        parts += ["", title]
        for row in [header, *rows]:
            cells = [
                cell.ljust(width) if column == 0 or title == "Targets" else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            parts.append("  " + "  ".join(cells).rstrip())
    return "\n".join(parts)


def as_markdown(report: Report) -> str:
    """The same for docs/performance.md."""
    parts = [_machine_line(report), "", *(f"- {line}" for line in report.sizes)]
    for title, header, rows in tables(report):
        parts += ["", *markdown_table(title, header, rows, left=3 if title == "Targets" else 1)]
    return "\n".join(parts)


def markdown_table(title: str, header: Row, rows: Sequence[Row], *, left: int) -> list[str]:
    """The lines of a heading and a table, of which the first `left` columns are words."""
    lines = [f"### {title}", "", f"| {' | '.join(header)} |"]
    lines.append("| " + " | ".join("---" if n < left else "---:" for n in range(len(header))) + " |")
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def targets_table(found: Sequence[Verdict]) -> list[str]:
    """The targets; one that could not be measured is neither met nor missed."""
    rows = [
        (one.target, "", NOT_MEASURED)
        if one.measured == NOT_MEASURED
        else (one.target, one.measured, "met" if one.met else "not met")
        for one in found
    ]
    return markdown_table("Targets", ("target", "measured", ""), rows, left=3)


def _machine_line(report: Report) -> str:
    return machine_line(report.date, report.machine, report.command, report.seconds)


def machine_line(date: str, machine: dict[str, Any], command: str, seconds: float) -> str:
    """When, on what and how a run was made, in one line; `machine` is `describe_machine`'s."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items() if number)
    return (
        f"{date}: {machine['cpu']}, {machine['cores']} cores, {machine['memoryGiB']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}, {packages}; "
        f"`{command}`, {seconds:.0f} s."
    )
