"""Measures fan-out: the gateway against a queue and a task per connection, from outside both processes.

    python loadtests/fanout.py                      about seven minutes: 1,000 and 8,000 streams
    python loadtests/fanout.py --quick              under 40 s, for a first look
    python loadtests/fanout.py --markdown           the tables as docs/performance.md has them

`gateway-jwt` asks for tokens: each stream has a subject of its own, with one grant.

The server runs alone on one core, this process on another. Every stream checks that it gets every event
once and in order. Exit codes: 0 measured (whether the targets are met or not); 1 an event was lost, doubled,
out of order or misdirected, or a server failed; 2 the options or the machine's limits do not allow the run.
"""

import argparse
import gc
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/fanout.py` puts loadtests itself on the path, not the directory that holds the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests.bench import (
    UsageError,
    choose_cores,
    exit_code,
    number_list,
    raise_descriptor_limit,
    write_json,
)
from loadtests.crowd import RunFailedError
from loadtests.measure import (
    BATCHES_FULL,
    LANES,
    SINGLES_FULL,
    LossError,
    Plan,
    Session,
    measure_entities,
)
from loadtests.progress import Progress
from loadtests.report import Report, as_markdown, as_text, describe_machine, disturbances

SERVERS = ("gateway", "gateway-jwt", "baseline")

FULL_PLAN = Plan(
    single_deliveries=320_000,
    full_deliveries={
        ("gateway", SINGLES_FULL): 16_000_000,
        ("gateway-jwt", SINGLES_FULL): 16_000_000,
        ("gateway", BATCHES_FULL): 24_000_000,
        ("gateway-jwt", BATCHES_FULL): 24_000_000,
        ("baseline", SINGLES_FULL): 300_000,
        ("baseline", BATCHES_FULL): 300_000,
    },
    publish_seconds=8.0,
    entity_rounds=15,
    entity_events=20,
)
QUICK_PLAN = Plan(
    single_deliveries=20_000,
    full_deliveries={
        ("gateway", SINGLES_FULL): 1_000_000,
        ("gateway-jwt", SINGLES_FULL): 1_000_000,
        ("gateway", BATCHES_FULL): 4_000_000,
        ("gateway-jwt", BATCHES_FULL): 4_000_000,
        ("baseline", SINGLES_FULL): 40_000,
        ("baseline", BATCHES_FULL): 40_000,
    },
    publish_seconds=2.0,
    entity_rounds=5,
    entity_events=10,
)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description="Measures fan-out: the gateway against a queue and a task per connection.",
        epilog="Example: python loadtests/fanout.py --streams 500,4000 --markdown",
    )
    parser.add_argument("--streams", help="numbers of streams, by commas (1000,8000; with --quick 200,1000)")
    parser.add_argument("--rounds", type=int, help="fresh servers of each kind, in turns (2; with --quick 1)")
    parser.add_argument(
        "--servers",
        default=",".join(SERVERS),
        help="some of gateway, gateway-jwt, baseline (all)",
    )
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return parser.parse_args(arguments)


def stream_counts(options: argparse.Namespace) -> list[int]:
    """The numbers of streams, ascending; raises UsageError for what is no such list."""
    return number_list(options.streams or ("200,1000" if options.quick else "1000,8000"), "--streams")


def describe_sizes(plan: Plan, counts: list[int], servers: list[str], rounds: int) -> list[str]:
    """What was done, in words."""
    at = ", ".join(f"{count:,}" for count in counts)
    singles = ", ".join(str(plan.single_events(count)) for count in counts)
    lines = [
        f"Rounds: {rounds}, each with fresh servers, in turns; medians. One server core, one generator core.",
        f"Single events: {singles} a round (at {at} streams), each published when all have had the last one, "
        "after a pause at least as long as that took.",
    ]
    for load in (SINGLES_FULL, BATCHES_FULL):
        amounts = "; ".join(
            f"{server} {', '.join(f'{plan.full_events(server, load, count):,}' for count in counts)}"
            for server in servers
        )
        lines.append(
            f"{load[0].upper()}{load[1:]}: {LANES} keep-alive connections, the next request on each when the "
            f"last is answered, for at most {plan.publish_seconds:.0f} s. Events at {at} streams, at most: "
            f"{amounts} (fewer for the baseline, so that the run stays short)."
        )
    return lines


def measure(
    report: Report, plan: Plan, counts: list[int], servers: list[str], rounds: int, core: int
) -> None:
    """Fills the report as it goes, so that what was measured before a failure is kept."""
    progress = Progress()
    try:
        for count in counts:
            for _ in range(rounds):
                for kind in servers:
                    memory, loads = Session(kind, count, core, plan, progress).run()
                    report.memory.append(memory)
                    report.loads += loads
        pair = (max(1, counts[-1] // 100), counts[-1])
        for kind in servers:
            report.entities += measure_entities(kind, pair, core, plan, progress)
    finally:
        report.seconds = progress.elapsed_s


def run(options: argparse.Namespace) -> int:
    """Measures, prints, writes; gives the exit code."""
    counts = stream_counts(options)
    servers = [name for name in SERVERS if name in options.servers.split(",")]
    if not servers or set(options.servers.split(",")) - set(SERVERS):
        raise UsageError(f"--servers takes some of {','.join(SERVERS)}, not {options.servers!r}")
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    rounds = options.rounds if options.rounds is not None else (1 if options.quick else 2)
    if rounds < 1:
        raise UsageError("--rounds takes a number from 1")
    raise_descriptor_limit(counts[-1])
    report = Report(
        command=shlex.join(["python", "loadtests/fanout.py", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=describe_machine(),
        sizes=describe_sizes(plan, counts, servers, rounds),
    )
    server_core, _ = choose_cores()
    # Only reference counts here: a collection of 8,000 streams would show up as a latency of the server.
    gc.disable()
    try:
        measure(report, plan, counts, servers, rounds, server_core)
    except LossError as error:
        report.problems = [str(error), *error.problems]
    except RunFailedError as error:
        report.problems = [str(error)]
    print(as_markdown(report) if options.markdown else as_text(report))
    for line in disturbances(report):
        print(f"Disturbed: {line}.", file=sys.stderr)
    print(f"Results: {write_json('fanout', report.date, report.as_json())}", file=sys.stderr)
    if report.problems:
        print("FAILED: " + "\n  ".join(report.problems), file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    return exit_code(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
