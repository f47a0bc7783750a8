"""The growths as Markdown, each with its table, its plot and a sentence on its shape."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.growth_measure import Figures, Points
from loadtests.plot import Line, line_chart, shape
from loadtests.report import Verdict, machine_line, markdown_table, targets_table

STORM_CLIENTS, STORM_RATIO, DOOR_RATIO = 8_000, 3.0, 0.35


@dataclass(frozen=True, slots=True)
class Subject:
    """What grows: its name (of the option and of the file), its title, the words for x, and what is drawn.

    `drawn` are columns of one unit, which `unit` says; the first is what the sentence is about.
    """

    name: str
    title: str
    cause: str
    drawn: tuple[str, ...]
    unit: str


SUBJECTS = (
    Subject(
        "streams",
        "Number of streams",
        "number of streams",
        ("CPU µs/delivery", "user µs", "kernel µs"),
        "CPU, µs for a delivery",
    ),
    Subject(
        "selectors",
        "Distinct selectors",
        "number of selectors",
        ("CPU µs/event",),
        "CPU, µs for an event for one stream",
    ),
    Subject(
        "sizes",
        "Size of an event",
        "bytes of an event",
        ("CPU µs/delivery", "user µs", "kernel µs"),
        "CPU, µs for a delivery",
    ),
    Subject(
        "histories",
        "Length of the history",
        "events in the history",
        ("CPU µs/delivery", "CPU µs/resume"),
        "CPU, µs",
    ),
    Subject(
        "replays",
        "Clients that come back at once after a restart",
        "number of clients",
        ("CPU µs/client", "CPU µs/client without cursors", "CPU µs/client without front door"),
        "CPU, µs for a client",
    ),
    *(
        Subject(
            name,
            title,
            "number of clients",
            ("CPU µs/client", "CPU µs/client without cursors", "CPU µs/client without front door"),
            "CPU, µs for a client",
        )
        for name, title in (
            ("replays-browsers", "The same by browsers"),
            ("replays-jwt", "The same with tokens"),
        )
    ),
)


@dataclass(slots=True)
class GrowthReport:
    """Everything that one run measured: for each subject a list of passes."""

    command: str
    date: str
    machine: dict[str, Any]
    sizes: list[str] = field(default_factory=list)
    passes: dict[str, list[Points]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The raw results of every pass."""
        return {
            "command": self.command,
            "date": self.date,
            "machine": self.machine,
            "sizes": self.sizes,
            "passes": self.passes,
            "problems": self.problems,
            "seconds": self.seconds,
        }


def medians(passes: Sequence[Points]) -> Points:
    """For each point the median of each figure over the passes."""
    return {
        x: {name: statistics.median(points[x][name] for points in passes) for name in figures}
        for x, figures in passes[0].items()
    }


def plot(subject: Subject, points: Points) -> str:
    """The subject's chart, as SVG. Figures of 0 (the kernel's part is known to 10 ms only) are left out."""
    lines = [
        Line(column, [(x, figures[column]) for x, figures in points.items() if figures[column] > 0])
        for column in subject.drawn
    ]
    return line_chart(subject.title, subject.cause, subject.unit, [line for line in lines if line.points])


def sentence(subject: Subject, points: Points) -> str:
    """The shape in words; with a single point there is none."""
    if len(points) < 2:
        return f"One point says nothing about how {subject.drawn[0]} grows."
    return " ".join(
        shape(column, subject.cause, [(x, figures[column]) for x, figures in points.items()])
        for column in subject.drawn
        if column not in ("user µs", "kernel µs")
    )


def write_plots(report: GrowthReport, folder: Path) -> list[Path]:
    """An SVG for each subject that was measured; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for subject in SUBJECTS:
        if report.passes.get(subject.name):
            path = folder / f"growth-{subject.name}.svg"
            path.write_text(plot(subject, medians(report.passes[subject.name])))
            paths.append(path)
    return paths


def verdicts(report: GrowthReport) -> list[Verdict]:
    """The targets on the storm of resuming clients, by each way of coming that was measured."""
    found = []
    if report.passes.get("replays"):
        storm = _storm(report, "replays")
        found += [_against_plain(*storm), _against_no_door("", *storm)]
    for name, how in (("replays-browsers", ", as browsers,"), ("replays-jwt", ", each with a token,")):
        if report.passes.get(name):
            found.append(_against_no_door(how, *_storm(report, name)))
    return found


def _storm(report: GrowthReport, name: str) -> tuple[int, Figures]:
    """The point that stands for the storm: 8,000 clients, or the most that were measured below."""
    points = medians(report.passes[name])
    clients = max(x for x in points if x <= STORM_CLIENTS or x == min(points))
    return clients, points[clients]


def _against_plain(clients: int, figures: Figures) -> Verdict:
    ratio = figures["times without cursors"]
    cpu = figures["CPU µs/client"] / figures["CPU µs/client without cursors"]
    return Verdict(
        f"{clients:,} clients resuming with cursors after a restart are served completely in at most "
        f"{STORM_RATIO:.0f} times what they need to connect without cursors",
        f"{ratio:.2f} times (in the server's CPU {cpu:.2f})",
        ratio <= STORM_RATIO,
    )


def _against_no_door(tokens: str, clients: int, figures: Figures) -> Verdict:
    share = figures["of the seconds without it"]
    cpu = figures["CPU µs/client"] / figures["CPU µs/client without front door"]
    return Verdict(
        f"{clients:,} clients resuming with cursors{tokens} after a restart are served completely in at most "
        f"{DOOR_RATIO} of the seconds that the gateway takes without its front door",
        f"{share:.3f} (in the server's CPU {cpu:.3f})",
        share <= DOOR_RATIO,
    )


def as_markdown(report: GrowthReport) -> str:
    """The whole report, as docs/performance.md has it; the plots are named as they are written."""
    parts = [machine_line(report.date, report.machine, report.command, report.seconds), ""]
    parts += [f"- {line}" for line in report.sizes]
    for subject in SUBJECTS:
        if report.passes.get(subject.name):
            points = medians(report.passes[subject.name])
            parts += ["", *markdown_table(subject.title, *_table(subject, points), left=0), ""]
            parts += [f"![{subject.title}](growth-{subject.name}.svg)", "", sentence(subject, points)]
    if found := verdicts(report):
        parts += ["", *targets_table(found)]
    return "\n".join(parts)


def _table(subject: Subject, points: Points) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = tuple(next(iter(points.values())))
    rows = [(f"{x:,}", *(_cell(figures, column) for column in columns)) for x, figures in points.items()]
    return (subject.cause, *columns), rows


def _cell(figures: Figures, column: str) -> str:
    value = figures[column]
    if column.endswith("%"):
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
