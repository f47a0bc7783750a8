"""The comparison with the peers as Markdown: what was measured, as ratios, and the targets."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests.answers import BARE_304, LEGACY_304, POLL_EMPTY, POLL_FULL, AnswerResult
from loadtests.measure import SINGLE, SINGLES_FULL, LoadResult, MemoryResult
from loadtests.peer_measure import LOADS, ConnectResult, Round
from loadtests.report import (
    CORE_TAKEN,
    GENERATOR_FULL,
    NOT_MEASURED,
    Verdict,
    machine_line,
    markdown_table,
    merged_loads,
    targets_table,
)

GATEWAY = "gateway"
BARE = "bare aiohttp"
# The numbers of streams that the targets name.
MANY, FEW = 8_000, 1_000

Key = tuple[str, int, str]
Place = tuple[str, int]


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


@dataclass(frozen=True, slots=True)
class Medians:
    """One figure for each server and number of streams, over the rounds."""

    loads: dict[Key, LoadResult]
    bytes_per_stream: dict[Place, float]
    connect_us: dict[Place, float]
    connects_per_second: dict[Place, float]

    def counts(self) -> list[int]:
        """The numbers of streams, ascending."""
        return sorted({streams for _, streams in self.connect_us})

    def nearest(self, streams: int) -> int:
        """What stands for a target's number of streams: it, or the largest that was measured below it."""
        below = [count for count in self.counts() if count <= streams]
        return below[-1] if below else self.counts()[0]


def medians(report: PeerReport) -> Medians:
    """Medians over the rounds, each field by itself."""
    merged = merged_loads(report.loads)
    return Medians(
        {(load.server, load.streams, load.load): load for load in merged},
        _by_place(((one.server, one.streams), one.bytes_per_stream) for one in report.memory),
        _by_place(((one.server, one.streams), one.cpu_us_per_connection) for one in report.connects),
        _by_place(((one.server, one.streams), one.per_second) for one in report.connects),
    )


def _by_place(figures: Iterable[tuple[Place, float]]) -> dict[Place, float]:
    groups: dict[Place, list[float]] = {}
    for place, figure in figures:
        groups.setdefault(place, []).append(figure)
    return {place: statistics.median(group) for place, group in groups.items()}


def user_us(load: LoadResult) -> float:
    """The part of a delivery's CPU that is not the kernel's."""
    return load.cpu_us_per_delivery * (1 - load.cpu_system_share)


def kernel_us(load: LoadResult) -> float:
    """The kernel's part."""
    return load.cpu_us_per_delivery * load.cpu_system_share


def verdicts(report: PeerReport) -> list[Verdict]:
    """The targets held against the medians; one of which a side is absent is not met, and says so."""
    if not report.connects:
        return []
    found = medians(report)
    many, few = found.nearest(MANY), found.nearest(FEW)
    return [
        _cpu(found, "nchan", many, 0.9),
        _p99(found, many),
        _speed(found, few),
        _at_most(
            f"memory per idle stream at most 0.35 of nchan's, {many:,} streams",
            found.bytes_per_stream.get((GATEWAY, many)),
            found.bytes_per_stream.get(("nchan", many)),
            0.35,
        ),
        *(_cpu(found, "sse-starlette", count, 0.3) for count in found.counts()),
        *(_cpu(found, "better-sse", count, 0.6) for count in found.counts()),
        _connecting(found, many),
        *_answer_verdicts(report.answers),
    ]


def _by_answer(figures: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The median of each sort of request."""
    groups: dict[str, list[float]] = {}
    for name, figure in figures:
        groups.setdefault(name, []).append(figure)
    return {name: statistics.median(group) for name, group in groups.items()}


def _answer_verdicts(answers: list[AnswerResult]) -> list[Verdict]:
    us = _by_answer((one.answer, one.cpu_us_per_request) for one in answers)
    rates = _by_answer((one.answer, one.per_second) for one in answers)
    rate = "304 answers of a legacy route at least 0.6 of a bare handler's rate, by the server's CPU"
    poll = "a poll answer of 100 events costs at most 3 times an empty one"
    if not us:
        return [Verdict(rate, NOT_MEASURED, met=False), Verdict(poll, NOT_MEASURED, met=False)]
    share, times = us[BARE_304] / us[LEGACY_304], us[POLL_FULL] / us[POLL_EMPTY]
    clock = rates[LEGACY_304] / rates[BARE_304]
    return [
        Verdict(rate, f"{share:.3f} (by the clock {clock:.3f})", share >= 0.6),
        Verdict(poll, f"{times:.2f} times", times <= 3),
    ]


def _at_most(target: str, ours: float | None, theirs: float | None, most: float) -> Verdict:
    # With a few streams a server may need no further page of memory: that is no figure to divide by.
    if ours is None or theirs is None or theirs <= 0:
        return Verdict(target, NOT_MEASURED, met=False)
    return Verdict(target, f"{ours / theirs:.3f}", ours / theirs <= most)


def _cpu(found: Medians, peer: str, streams: int, most: float) -> Verdict:
    target = f"CPU per delivery at most {most} of {peer}'s; single events, {streams:,} streams"
    ours, theirs = found.loads.get((GATEWAY, streams, SINGLE)), found.loads.get((peer, streams, SINGLE))
    if ours is None or theirs is None:
        return Verdict(target, NOT_MEASURED, met=False)
    ratio = ours.cpu_us_per_delivery / theirs.cpu_us_per_delivery
    parts = f"user {user_us(ours):.2f} against {user_us(theirs):.2f} µs"
    return Verdict(target, f"{ratio:.3f} ({parts})", ratio <= most)


def _p99(found: Medians, streams: int) -> Verdict:
    target = f"p99 no worse than nchan's; single events, {streams:,} streams"
    ours, theirs = found.loads.get((GATEWAY, streams, SINGLE)), found.loads.get(("nchan", streams, SINGLE))
    if ours is None or theirs is None:
        return Verdict(target, NOT_MEASURED, met=False)
    measured = f"{ours.latency_p99_ms:.1f} against {theirs.latency_p99_ms:.1f} ms"
    return Verdict(target, measured, ours.latency_p99_ms <= theirs.latency_p99_ms)


def _speed(found: Medians, streams: int) -> Verdict:
    """By the server's CPU: by the clock, the generator's core may set the pace of the faster side."""
    target = f"deliveries/s at least 10 times nchan's at full speed, {streams:,} streams, by the server's CPU"
    key = (streams, SINGLES_FULL)
    ours, theirs = found.loads.get((GATEWAY, *key)), found.loads.get(("nchan", *key))
    if ours is None or theirs is None:
        return Verdict(target, NOT_MEASURED, met=False)
    ratio = theirs.cpu_us_per_delivery / ours.cpu_us_per_delivery
    clock = ours.deliveries_per_second / theirs.deliveries_per_second
    bound = "at least " if ours.generator_cpu_share > GENERATOR_FULL else ""
    return Verdict(target, f"{ratio:.1f} times (by the clock {bound}{clock:.1f})", ratio >= 10)


def _connecting(found: Medians, streams: int) -> Verdict:
    target = (
        f"connection rate at least 0.6 of a bare aiohttp handler's, {streams:,} streams, by the server's CPU"
    )
    ours, bare = found.connect_us.get((GATEWAY, streams)), found.connect_us.get((BARE, streams))
    if ours is None or bare is None:
        return Verdict(target, NOT_MEASURED, met=False)
    clock = found.connects_per_second[GATEWAY, streams] / found.connects_per_second[BARE, streams]
    return Verdict(target, f"{bare / ours:.3f} (by the clock {clock:.3f})", bare / ours >= 0.6)


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
    generator = _by_place(((one.server, one.streams), one.generator_cpu_share) for one in report.connects)
    rows = []
    for place in sorted(found.connect_us, key=lambda place: place[1]):
        server, streams = place
        each = found.bytes_per_stream.get(place)
        rows.append(
            (
                server,
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
        "answer",
        "requests",
        "CPU µs/request",
        "requests/s",
        "body bytes",
        "core taken",
        "generator CPU",
    )
    rows = []
    for name in (LEGACY_304, BARE_304, POLL_EMPTY, POLL_FULL):
        group = [one for one in answers if one.answer == name]
        rows.append(
            (
                name,
                f"{group[0].requests:,}",
                f"{statistics.median(one.cpu_us_per_request for one in group):.0f}",
                f"{statistics.median(one.per_second for one in group):,.0f}",
                f"{group[0].bytes_per_answer:,}",
                f"{statistics.median(one.server_wait_share for one in group):.0%}",
                f"{statistics.median(one.generator_cpu_share for one in group):.0%}",
            )
        )
    return markdown_table("Plain answers", header, rows, left=1)


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
        load.server,
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
