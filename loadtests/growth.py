"""Measures how the gateway's cost grows: with streams, selectors, the size of events, history and replays.

    python loadtests/growth.py                        all of them
    python loadtests/growth.py --quick                under 2 minutes, with smaller numbers
    python loadtests/growth.py --only sizes,replays   some of them

Writes a table for each to stdout and a plot (SVG) for each into --plots. The gateway has one core, this
process another; every stream checks that it gets every event once and in order. Exit codes: 0 measured; 1 an
event was lost, doubled or out of order, or the gateway failed; 2 the options or the machine's limits do not
allow the run.
"""

import argparse
import gc
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/growth.py` puts loadtests itself on the path, not the directory that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.crowd import RunFailedError
from loadtests.growth_measure import RESUMED_EVENTS, Meter
from loadtests.growth_plan import Growths
from loadtests.growth_report import SUBJECTS, GrowthReport, as_markdown, verdicts, write_plots
from loadtests.measure import LossError
from loadtests.peer_measure import EVENT_BYTES
from loadtests.progress import Progress
from loadtests.report import describe_machine
from loadtests.server import BY_BROWSERS, WITH_TOKENS

NAMES = tuple(subject.name for subject in SUBJECTS)
FULL = Growths(
    streams=(1_000, 2_000, 4_000, 8_000, 16_000),
    selectors=(1, 10, 100, 1_000, 16_000),
    sizes=(100, 1_000, 4_000, 16_000, 60_000),
    histories=(100, 1_000, 10_000, 100_000),
    clients=(1, 10, 100, 1_000, 8_000),
    single_deliveries=160_000,
    selector_events=100,
    size_streams=1_000,
    history_streams=100,
    replayed=100,
)
QUICK = Growths(
    streams=(100, 400, 1_600),
    selectors=(1, 40, 1_600),
    sizes=(100, 4_000, 60_000),
    histories=(100, 1_000, 10_000),
    clients=(1, 30, 300),
    single_deliveries=10_000,
    selector_events=30,
    size_streams=100,
    history_streams=20,
    replayed=100,
)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Measures how the gateway's cost grows.")
    parser.add_argument("--only", default=",".join(NAMES), help=f"some of: {', '.join(NAMES)} (all)")
    parser.add_argument("--rounds", type=int, help="passes, of which medians are taken (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    parser.add_argument("--plots", type=Path, default=bench.RESULTS, help="where the plots go")
    return parser.parse_args(arguments)


def within_limits(plan: Growths, names: Sequence[str]) -> Growths:
    """The plan without the numbers of streams that the limit of open files forbids; says so on stderr.

    Raises bench.UsageError where it leaves nothing of what `names` asks for.
    """
    allowed = replace(
        plan,
        streams=tuple(count for count in plan.streams if bench.allows(count)) or plan.streams[:1],
        selectors=tuple(count for count in plan.selectors if bench.allows(count + 1)) or plan.selectors[:1],
        clients=tuple(count for count in plan.clients if bench.allows(count)) or plan.clients[:1],
    )
    fewest = {
        "streams": plan.streams[0],
        "selectors": plan.selectors[0] + 1,
        "sizes": plan.size_streams,
        "histories": plan.history_streams,
        "replays": plan.clients[0],
        "replays-browsers": plan.clients[0],
        "replays-jwt": plan.clients[0],
    }
    for name in names:
        bench.raise_descriptor_limit(fewest[name])
    if allowed != plan:
        print("The largest numbers are left out: the limit of open files is too low.", file=sys.stderr)
    return allowed


def describe_sizes(plan: Growths, rounds: int) -> list[str]:
    """What was done, in words."""
    return [
        f"Passes: {rounds}; medians. One core for the gateway, another for the generator. Events of "
        f"{EVENT_BYTES} bytes of JSON, one by one, each when all streams have had the last one, after a "
        "pause as long as that took.",
        f"Selectors: {plan.selectors[-1]:,} streams share so many, and {plan.selector_events} events go to "
        "one stream beside them that asked for another entity. No heartbeats, nor for streams and sizes.",
        f"Size: {plan.size_streams:,} streams. History: {plan.history_streams:,} streams; a resume is a "
        f"client that comes back for the last {RESUMED_EVENTS} events.",
        f"Replays: an SQLite log, a restart, and each client resumes {plan.replayed:,} events behind; for "
        "comparison, the same clients connect after a restart without cursors, and resume from a gateway "
        "without its front door: each of the two twice, in the order one, other, other, one; means. By "
        "browsers no two clients have the same header fields. With tokens each client has a subject and a "
        "token of its own, and the events are of an order.",
    ]


def measure(report: GrowthReport, names: list[str], meter: Meter, rounds: int) -> None:
    """Fills the report pass by pass; what fails is named, and the others are measured all the same."""
    growths = {
        "streams": meter.streams,
        "selectors": meter.selectors,
        "sizes": meter.sizes,
        "histories": meter.histories,
        "replays": meter.replays,
        "replays-browsers": lambda: meter.replays_of(BY_BROWSERS),
        "replays-jwt": lambda: meter.replays_of(WITH_TOKENS),
    }
    failed: set[str] = set()
    for _ in range(rounds):
        for name in names:
            if name in failed:
                continue
            try:
                points = growths[name]()
            except LossError as error:
                report.problems += [f"{name}: {text}" for text in (str(error), *error.problems)]
                failed.add(name)
            except (RunFailedError, OSError) as error:  # OSError: sockets and /proc of a gateway that fell
                report.problems.append(f"{name}: {error}")
                failed.add(name)
            else:
                report.passes.setdefault(name, []).append(points)


def run(options: argparse.Namespace) -> int:
    """Measures, prints, writes; gives the exit code."""
    names = [name for name in NAMES if name in options.only.split(",")]
    if not names or set(options.only.split(",")) - set(NAMES):
        raise bench.UsageError(f"--only takes some of {', '.join(NAMES)}, not {options.only!r}")
    rounds = options.rounds if options.rounds is not None else (1 if options.quick else 3)
    if rounds < 1:
        raise bench.UsageError("--rounds takes a number from 1")
    plan = within_limits(QUICK if options.quick else FULL, names)
    try:
        options.plots.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bench.UsageError(f"--plots can't be written to: {error.strerror}") from error
    report = GrowthReport(
        command=shlex.join(["python", "loadtests/growth.py", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=describe_machine(),
        sizes=describe_sizes(plan, rounds),
    )
    core, _ = bench.choose_cores()
    # Only reference counts here: a collection of 16,000 streams would show up as a latency of the server.
    gc.disable()
    progress = Progress()
    try:
        measure(report, names, Meter(plan, core, progress), rounds)
    finally:
        report.seconds = progress.elapsed_s
    print(as_markdown(report))
    for path in write_plots(report, options.plots):
        print(f"Plot: {path}", file=sys.stderr)
    results = {**report.as_json(), "targets": [verdict.target for verdict in verdicts(report) if verdict.met]}
    print(f"Results: {bench.write_json('growth', report.date, results)}", file=sys.stderr)
    if report.problems:
        print("FAILED: " + "\n  ".join(report.problems), file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    return bench.exit_code(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
