"""Measures a storm: after a restart all clients come back at once, with cursors, to several workers.

    python loadtests/storm.py                      16,000 clients to 2 workers: about five minutes
    python loadtests/storm.py --quick              500 clients, under a minute
    python loadtests/storm.py --clients 8000 --at-once 500

While they come, streams that are there already get an event every 50 ms. The workers share a Redis log of the
benchmark's own, and one core; Redis and all clients have another. The same is measured of a gateway without
its front door, in turns. Prints a table, and writes the raw results into loadtests/results. Exit codes: 0
measured; 1 an event was lost, doubled or out of order, or the gateway failed; 2 the options or the machine's
limits do not allow the run.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

# `python loadtests/storm.py` puts loadtests itself on the path, not the directory of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.crowd import RunFailedError
from loadtests.measure import LossError
from loadtests.progress import Progress
from loadtests.report import describe_machine, machine_line, markdown_table
from loadtests.storm_clients import PUBLISHERS
from loadtests.storm_measure import Sizes, Storm, measure
from loadtests.watched_workers import FRONT_DOOR, WITHOUT

FULL = Sizes(clients=16_000, at_once=2_000, missed=20, stayed=200, every_s=0.05, before_s=5.0, workers=2)
QUICK = Sizes(clients=500, at_once=200, missed=20, stayed=20, every_s=0.02, before_s=1.0, workers=2)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; None stands for the default of the run's length."""
    parser = argparse.ArgumentParser(description="Measures what a storm of returning clients costs.")
    parser.add_argument("--clients", type=int, help="how many come back (16,000; with --quick 500)")
    parser.add_argument("--at-once", type=int, help="of them under way at once (2,000; with --quick 200)")
    parser.add_argument("--stayed", type=int, help="streams that are there (200; with --quick 20)")
    parser.add_argument("--workers", type=int, help="of the gateway (2)")
    parser.add_argument(
        "--rounds", type=int, help="storms of each gateway, in the order one, other, other, one (2; quick: 1)"
    )
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    return parser.parse_args(arguments)


def sizes_of(options: argparse.Namespace) -> Sizes:
    """The sizes that the options ask for. Raises bench.UsageError for one out of bounds."""
    base = QUICK if options.quick else FULL
    clients = _given(options.clients, "clients", 25_000, base.clients)
    return Sizes(
        clients=clients,
        at_once=min(clients, _given(options.at_once, "at-once", 4_000, base.at_once)),
        missed=base.missed,
        stayed=_given(options.stayed, "stayed", 1_000, base.stayed),
        every_s=base.every_s,
        before_s=base.before_s,
        workers=_given(options.workers, "workers", 16, base.workers),
    )


def _given(value: int | None, name: str, most: int, default: int) -> int:
    if value is not None and not 1 <= value <= most:
        raise bench.UsageError(f"--{name} takes 1 to {most}, not {value}")
    return default if value is None else value


def describe(sizes: Sizes, rounds: int) -> list[str]:
    """What was done, in words."""
    return [
        f"{sizes.clients:,} clients with cursors, {sizes.missed} events behind, come back at once to a "
        f"gateway that was restarted: {sizes.at_once:,} of them under way at a time. {sizes.workers} workers "
        "share a Redis log and one core; Redis and the clients share another.",
        f"{sizes.stayed:,} streams are there already, and get an event of their own entity every "
        f"{sizes.every_s * 1000:.0f} ms, published over {PUBLISHERS} connections. How long each took counts "
        f"from when it was due, in the {sizes.before_s:g} s before the storm and in it. Their process has "
        "more of a right to its core than that of those who come back.",
        f"Storms of each gateway: {rounds}, each with a fresh log. Medians; of the longest the longest.",
        "Every client got each event that it had missed once and in order, and so did those who stayed. The "
        "longest turn is any worker's, watched from inside its loop: its CPU, and how late a timer rang by "
        "it, which has in it what the other worker did with the core.",
    ]


HEADER = (
    *("gateway", "seconds until all have all", "until half have", "until all are connected"),
    *("CPU µs/client", "longest turn CPU ms", "late by ms"),
    *("to those who stayed before, p50 ms", "p99 ms", "longest ms"),
    *("in the storm, p50 ms", "p99 ms", "longest ms", "the first event, ms"),
    *("server CPU", "generator CPU"),
)


def rows(storms: Sequence[Storm]) -> list[tuple[str, ...]]:
    """A row for each gateway: medians of its storms, and of what is the longest of something the longest."""
    found = []
    for way in dict.fromkeys(storm.way for storm in storms):
        group = [storm for storm in storms if storm.way == way]
        found.append(
            (
                way,
                f"{median(one.seconds for one in group):.2f}",
                f"{median(one.seconds_half for one in group):.2f}",
                f"{median(one.seconds_connected for one in group):.2f}",
                f"{median(one.cpu_us_per_client for one in group):.0f}",
                f"{max(one.turn_cpu_ms for one in group):.1f}",
                f"{max(one.turn_late_ms for one in group):.1f}",
                f"{median(one.before.p50_ms for one in group):.1f}",
                f"{median(one.before.p99_ms for one in group):.1f}",
                f"{max(one.before.longest_ms for one in group):.1f}",
                f"{median(one.during.p50_ms for one in group):.1f}",
                f"{median(one.during.p99_ms for one in group):.1f}",
                f"{max(one.during.longest_ms for one in group):.1f}",
                f"{max(one.first_ms for one in group):.1f}",
                f"{median(one.server_cpu_share for one in group):.0%}",
                f"{median(one.generator_cpu_share for one in group):.0%}",
            )
        )
    return found


def run(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; gives the exit code."""
    options = parse(arguments)
    sizes = sizes_of(options)
    rounds = _given(options.rounds, "rounds", 100, 1 if options.quick else 2)
    bench.raise_descriptor_limit(sizes.clients)
    core, _ = bench.choose_cores()
    date, machine, progress = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), describe_machine(), Progress()
    storms: list[Storm] = []
    try:
        for number in range(rounds):
            for way in (FRONT_DOOR, WITHOUT) if number % 2 == 0 else (WITHOUT, FRONT_DOOR):
                storms.append(measure(way, sizes, core, progress))
    except (LossError, RunFailedError, OSError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        for problem in getattr(error, "problems", ()):
            print(f"  {problem}", file=sys.stderr)
        return 1
    command = shlex.join(["python", "loadtests/storm.py", *sys.argv[1:]])
    print(machine_line(date, machine, command, progress.elapsed_s), end="\n\n")
    print("\n".join(f"- {line}" for line in describe(sizes, rounds)), end="\n\n")
    print("\n".join(markdown_table("", HEADER, rows(storms), left=1)[2:]))
    results = {"command": command, "date": date, "machine": machine, "sizes": asdict(sizes)}
    results["storms"] = [asdict(storm) for storm in storms]
    print(f"Results: {bench.write_json('storm', date, results)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(bench.exit_code(run))
