"""The comparison with the peers as Markdown: what was measured, as ratios, and the targets."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests import peer_targets
from loadtests.answers import GATEWAY, LIST_200, LIST_304, POLL_EMPTY, POLL_FULL, AnswerResult
from loadtests.measure import SINGLES_FULL, LoadResult, MemoryResult
from loadtests.peer_measure import LOADS, ConnectResult, Round
from loadtests.peer_targets import OPENINGS, Medians, by_place, kernel_us, user_us
from loadtests.report import CORE_TAKEN, Verdict, machine_line, markdown_table, targets_table

_ORDER = (LIST_304, LIST_200, POLL_EMPTY, POLL_FULL)
# What stands in the tables for servers whose name does not say it.
WORDS = {name: f"gateway with {what}" for name, what in OPENINGS.items()} | {
    "gateway-compact": "gateway with fields=data",
    "gateway-flag-browsers": "gateway with a flag and a clientId, by browsers",
    "bare-browsers": "bare aiohttp, by browsers",
}


@dataclass(slots=True)
class PeerReport:
    """Everything that one run measured, round by round; `missing` says why a peer could not be."""

    command: str
    date: str
    machine: dict[str, Any]
    versions: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    sizes: list[str] = field(default_factory=list)
    connects: list[ConnectResult] = field(default_factory=list)
    memory: list[MemoryResult] = field(default_factory=list)
    loads: list[LoadResult] = field(default_factory=list)
    answers: list[AnswerResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, found: Round) -> None:
        """Takes in what one round gave."""
        self.connects += [found.connect] if found.connect else []
        self.memory += [found.memory] if found.memory else []
        self.loads += found.loads
        self.problems += found.problems

    def as_json(self) -> dict[str, Any]:
        """The raw results of every round, and the verdicts."""
        return {**asdict(self), "targets": [asdict(verdict) for verdict in verdicts(self)]}


def medians(report: PeerReport) -> Medians:
    """Of everything that was measured."""
    return peer_targets.medians(report.loads, report.memory, report.connects)


def verdicts(report: PeerReport) -> list[Verdict]:
    """The targets; none where nothing was measured."""
    if not report.connects:
        return []
    return peer_targets.verdicts(medians(report), report.loads, report.answers)


def as_markdown(report: PeerReport) -> str:
    """The whole report, as docs/performance.md has it."""
    parts = [machine_line(report.date, report.machine, report.command, report.seconds), ""]
    parts += [f"- Versions: {'; '.join(report.versions)}."] if report.versions else []
    parts += [f"- {name} is missing: {reason}." for name, reason in report.missing.items()]
    parts += [f"- {line}" for line in report.sizes]
    parts += [f"- Disturbed: {line}." for line in disturbances(report)]
    if not report.connects:
        return "\n".join(parts)
    found = medians(report)
    parts += ["", *_connect_table(report, found)]
    for load in LOADS:
        parts += ["", *_load_table(load, found)]
    if report.answers:
        parts += ["", *_answers_table(report.answers)]
    return "\n".join([*parts, "", *targets_table(verdicts(report))])


def _connect_table(report: PeerReport, found: Medians) -> list[str]:
    generator = by_place(((one.server, one.streams), one.generator_cpu_share) for one in report.connects)
    rows = []
    for place in sorted(found.connect_us, key=lambda place: place[1]):
        server, streams = place
        each = found.bytes_per_stream.get(place)
        rows.append(
            (
                WORDS.get(server, server),
                f"{streams:,}",
                "" if each is None else f"{each / 1024:.2f}",
                f"{found.connect_us[place]:.0f}",
                f"{found.connects_per_second[place]:,.0f}",
                f"{generator[place]:.0%}",
            )
        )
    header = ("server", "streams", "KiB/idle stream", "CPU µs/connection", "connections/s", "generator CPU")
    return markdown_table("Connecting and holding a stream", header, rows, left=1)


def _answers_table(answers: list[AnswerResult]) -> list[str]:
    header = (
        *("answer", "server", "requests", "CPU µs/request", "requests/s", "body bytes"),
        *("core taken", "generator CPU"),
    )
    groups: dict[tuple[str, str], list[AnswerResult]] = {}
    for one in answers:
        groups.setdefault((one.answer, one.server), []).append(one)
    rows = [
        (
            answer,
            server,
            f"{group[0].requests:,}",
            f"{statistics.median(one.cpu_us_per_request for one in group):.1f}",
            f"{statistics.median(one.per_second for one in group):,.0f}",
            f"{group[0].bytes_per_answer:,}",
            f"{statistics.median(one.server_wait_share for one in group):.0%}",
            f"{statistics.median(one.generator_cpu_share for one in group):.0%}",
        )
        for (answer, server), group in sorted(groups.items(), key=lambda item: _ORDER.index(item[0][0]))
    ]
    return markdown_table("Plain answers", header, rows, left=2)


def _load_table(name: str, found: Medians) -> list[str]:
    header = (
        *("server", "streams", "events", "CPU µs/delivery", "user µs", "kernel µs", "gateway's share"),
        *("deliveries/s", "p50 ms", "p99 ms", "bytes/delivery", "server CPU", "core taken", "generator CPU"),
    )
    rows = [_load_row(load, found) for key, load in found.loads.items() if key[2] == name]
    return markdown_table(name[0].upper() + name[1:], header, rows, left=1)


def _load_row(load: LoadResult, found: Medians) -> tuple[str, ...]:
    ours = found.loads.get((GATEWAY, load.streams, load.load))
    share = "" if ours is None else f"{ours.cpu_us_per_delivery / load.cpu_us_per_delivery:.2f}"
    return (
        WORDS.get(load.server, load.server),
        f"{load.streams:,}",
        f"{load.events:,}",
        f"{load.cpu_us_per_delivery:.2f}",
        f"{user_us(load):.2f}",
        f"{kernel_us(load):.2f}",
        share,
        # The other loads are paced: their rate is the pace, not a speed.
        f"{load.deliveries_per_second:,.0f}" if load.load == SINGLES_FULL else "(paced)",
        f"{load.latency_p50_ms:.1f}",
        f"{load.latency_p99_ms:.1f}",
        f"{load.bytes_per_delivery:.0f}",
        f"{load.server_cpu_share:.0%}",
        f"{load.server_wait_share:.0%}",
        f"{load.generator_cpu_share:.0%}",
    )


def disturbances(report: PeerReport) -> list[str]:
    """The loads, each in one line, during which something else often had the server's core."""
    merged = medians(report).loads.values()
    return [
        f"{load.server}, {load.streams:,} streams, {load.load}: something else had the server's core for "
        f"{load.server_wait_share:.0%} of the time"
        for load in merged
        if load.server_wait_share > CORE_TAKEN
    ]
