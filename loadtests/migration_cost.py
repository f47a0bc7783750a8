"""Measures what a migration saves: the same clients, equally fresh, by polling and by push.

    python loadtests/migration_cost.py                       about three minutes: 500 clients, 2 s
    python loadtests/migration_cost.py --quick               under a minute, for a first look
    python loadtests/migration_cost.py --only queries,items  some of it

Three things: `ways`, in which the clients see one list; `queries`, in which they ask for parts of it;
`items`, a list of which every item changes at once, and how long that holds the gateway's loop.

It writes loadtests/results/migration-DATE.md (tables), .svg (a picture of the ways) and .json. Exit codes:
0 measured; 1 a client missed a change, was told of one twice or got what it had not asked for, or a server
failed; 2 the options or the machine's limits do not allow the run.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/migration_cost.py` puts loadtests itself on the path, not the directory of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import all_items, bench
from loadtests.all_items import Amounts
from loadtests.bench import UsageError, choose_cores, raise_descriptor_limit
from loadtests.cost_report import CostReport, as_markdown, as_svg, disturbances
from loadtests.crowd import RunFailedError
from loadtests.measure import LossError
from loadtests.progress import Progress
from loadtests.report import describe_machine
from loadtests.scenes import parts, whole_list
from loadtests.ways import DIRECT, THROUGH, WAYS, Sizes, measure

RESULTS = Path(__file__).resolve().parent / "results"
MAX_ORDERS = 1000
NAMES = ("ways", "queries", "items")

FULL = Sizes(clients=500, orders=100, freshness_s=2.0, changes_per_second=4.0, seconds=20.0)
QUICK = Sizes(clients=50, orders=50, freshness_s=0.5, changes_per_second=8.0, seconds=3.0)
VARIANTS, QUICK_VARIANTS = 20, 5
ALL_ITEMS = Amounts(items=10_000, size=1000, streams=10, rounds=3)
QUICK_ITEMS = Amounts(items=500, size=1000, streams=2, rounds=1, interval_s=0.5)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; None stands for the default of the run's length."""
    parser = argparse.ArgumentParser(
        description="Measures what a migration saves: the same clients, equally fresh, by poll and push.",
        epilog="Example: python loadtests/migration_cost.py --clients 2000 --freshness 5 --rounds 3",
    )
    parser.add_argument("--clients", type=int, help="how many at once (500; with --quick 50)")
    parser.add_argument("--orders", type=int, help="items of the list that they see (100; with --quick 50)")
    parser.add_argument(
        "--freshness", type=float, help="seconds that a change may take (2; with --quick 0.5)"
    )
    parser.add_argument("--changes", type=float, help="changes a second (4; with --quick 8)")
    parser.add_argument("--seconds", type=float, help="how long changes are made (20; with --quick 3)")
    parser.add_argument("--variants", type=int, help="queries that they ask for (20; with --quick 5)")
    parser.add_argument(
        "--items", type=int, help="of the list of which all change (10,000; with --quick 500)"
    )
    parser.add_argument("--only", default=",".join(NAMES), help=f"some of: {', '.join(NAMES)} (all)")
    parser.add_argument("--rounds", type=int, default=1, help="fresh servers for each way, in turns (1)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the directory for what it writes")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    return parser.parse_args(arguments)


def sizes_of(options: argparse.Namespace) -> Sizes:
    """The sizes that the options ask for. Raises UsageError where a run could not keep to them."""
    base = QUICK if options.quick else FULL

    sizes = Sizes(
        clients=int(_given(options, "clients", 1, 5000, base.clients)),
        orders=int(_given(options, "orders", 1, MAX_ORDERS, base.orders)),
        freshness_s=_given(options, "freshness", 0.1, 60, base.freshness_s),
        changes_per_second=_given(options, "changes", 0.1, 100, base.changes_per_second),
        seconds=_given(options, "seconds", 1, 600, base.seconds),
    )
    if sizes.orders < sizes.changes_per_second * sizes.freshness_s * 3:
        raise UsageError(
            f"{sizes.orders} orders are too few for {sizes.changes_per_second:g} changes a second and a "
            f"freshness of {sizes.freshness_s:g} s: one could change twice between two looks at it"
        )
    return sizes


def _given(options: argparse.Namespace, name: str, low: float, high: float, default: float) -> float:
    value: float | None = getattr(options, name)
    if value is not None and not low <= value <= high:
        raise UsageError(f"--{name} takes {low:g} to {high:g}, not {value:g}")
    return default if value is None else value


def names_of(options: argparse.Namespace) -> list[str]:
    """What is to be measured. Raises UsageError for a name that is none of NAMES."""
    asked = set(options.only.split(","))
    if asked - set(NAMES):
        raise UsageError(f"--only takes some of {', '.join(NAMES)}, not {options.only!r}")
    return [name for name in NAMES if name in asked]


def variants_of(options: argparse.Namespace, sizes: Sizes) -> int:
    """How many queries. Raises UsageError where there are more than clients, orders, or lists of a route."""
    most = min(100, sizes.clients, sizes.orders)
    return int(_given(options, "variants", 1, most, min(most, QUICK_VARIANTS if options.quick else VARIANTS)))


def write(report: CostReport, directory: Path) -> Path:
    """Writes the results beside those of earlier runs; gives the path without its ending."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"migration-{report.date.replace('-', '').replace(':', '')}"
    path.with_suffix(".json").write_text(json.dumps(report.as_json(), indent=2) + "\n")
    if not report.problems:
        path.with_suffix(".md").write_text(as_markdown(report))
    if report.costs and not report.problems:
        path.with_suffix(".svg").write_text(as_svg(report))
    return path


def fill(report: CostReport, names: Sequence[str], core: int, progress: Progress) -> None:
    """Measures what is to be, round by round. Raises LossError or RunFailedError."""
    sizes, clients = report.sizes, f"{report.sizes.clients:,} clients"
    for number in range(1, report.rounds + 1):
        for way in WAYS if "ways" in names else ():
            progress.phase(f"round {number}: {way}, {clients}")
            report.costs.append(measure(way, sizes, whole_list(sizes.orders), core, progress.tick))
        for way in (DIRECT, THROUGH) if "queries" in names else ():
            progress.phase(f"round {number}: {way}, {clients} of {report.variants} queries")
            scene = parts(sizes.orders, report.variants)
            report.queries.append(measure(way, sizes, scene, core, progress.tick))
        if "items" in names:
            progress.phase(f"round {number}: {report.amounts.items:,} items, all of them change")
            report.changed += all_items.measure(report.amounts, core, progress.tick)


def run(options: argparse.Namespace) -> int:
    """Measures, prints, writes; gives the exit code."""
    names, sizes = names_of(options), sizes_of(options)
    if not 1 <= options.rounds <= 20:
        raise UsageError("--rounds takes 1 to 20")
    amounts = QUICK_ITEMS if options.quick else ALL_ITEMS
    raise_descriptor_limit(sizes.clients)
    try:
        options.results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--results can't be written to: {error.strerror}") from error
    report = CostReport(
        command=shlex.join(["python", "loadtests/migration_cost.py", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=describe_machine(),
        sizes=sizes,
        variants=variants_of(options, sizes),
        amounts=replace(amounts, items=int(_given(options, "items", 1, 10_000, amounts.items))),
        rounds=options.rounds,
    )
    core, _ = choose_cores()
    progress = Progress()
    try:
        fill(report, names, core, progress)
    except LossError as error:
        report.problems = [str(error), *error.problems]
    except RunFailedError as error:
        report.problems = [str(error)]
    report.seconds = progress.elapsed_s
    if not report.problems:
        print(as_markdown(report), end="")
    for line in disturbances(report):
        print(f"Disturbed: {line}.", file=sys.stderr)
    print(f"Results: {write(report, options.results)}.*", file=sys.stderr)
    if report.problems:
        print("FAILED: " + "\n  ".join(report.problems), file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    return bench.exit_code(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
