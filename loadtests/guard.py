"""Simulates rollouts under the guard: how often it is wrong, what harm it finds, and how long that takes.

    python loadtests/guard.py                         1,000 rollouts without harm, fewer of each harm
    python loadtests/guard.py --quick                 a first look
    python loadtests/guard.py --rollouts 200 --seed 7 --processes 1

No network and no clock: virtual time drives the guard's own code, and the fixed thresholds that it had before
beside it, on the same callers (loadtests/guard_world.py says what is simplified). A seed gives the same
outcomes on any number of processes. Prints tables, and writes the raw results into loadtests/results.
Exit codes: 0 measured; 1 more than 5 % of the rollouts without harm were taken back, or harm struck nobody;
2 wrong options.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/guard.py` puts loadtests itself on the path, not the directory of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from flags.decide.guard_settings import Margins
from loadtests import bench
from loadtests.guard_report import durations, problems, with_harm, without_harm
from loadtests.guard_rollouts import Outcome, Scenario, Task, run
from loadtests.guard_world import Habits
from loadtests.progress import Progress
from loadtests.report import describe_machine, machine_line, markdown_table

FINE = Scenario(
    "no harm",
    callers=(10_000, 20_000, 50_000),
    polls=(1.0, 5.0, 30.0),
    hours=4.0,
    room=0.3,
)
AT_MARGIN = Scenario(
    "harm of just the margin, 2 points",
    callers=(20_000,),
    habits=Habits(harm=0.02),
    margins=Margins(error_rate=0.02),
    hours=4.0,
)
NARROW = Margins(error_rate=0.005)


def harms() -> list[Scenario]:
    """What is to be found, or is too little harm to be found."""
    found = [
        Scenario(
            f"{100 * harm:g} points more errors",
            callers=(50_000,),
            habits=Habits(harm=harm),
            margins=margins,
            hours=4.0,
        )
        for margins in (Margins(), NARROW)
        for harm in (0.01, 0.02, 0.05)
    ]
    habits = Habits(swallowed=Habits().swallowed + 0.05)
    found.append(Scenario("5 points more fall back for good", callers=(50_000,), habits=habits, hours=4.0))
    lag = Habits(lag_ms=2 * Habits().lag_ms)
    for polls in (1.0, 5.0):
        name = f"double the lag, polls every {polls:g} s"
        found.append(Scenario(name, callers=(50_000,), polls=(polls,), habits=lag, hours=4.0))
    return [*found, AT_MARGIN]


def steps() -> list[Scenario]:
    """Single steps: until the guard promotes, with few samples too, and until it finds harm."""
    found = []
    for callers in (1_000, 100_000):
        for percentage in (1.0, 5.0, 25.0):
            step = Scenario("", (callers,), percentage=percentage, hours=6.0, is_one_step=True)
            harm = replace(step, habits=Habits(harm=0.05), margins=Margins(error_rate=0.02))
            for number, one in enumerate((step, replace(step, min_samples=10), harm)):
                name = f"{callers:,} callers, {percentage:g} %, {('promote', 'few', 'harm')[number]}"
                found.append(replace(one, name=name))
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Simulates rollouts under the guard.")
    parser.add_argument("--rollouts", type=int, help="without harm (1,000; with --quick 24)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="(one for each core)")
    parser.add_argument("--quick", action="store_true", help="a first look: few rollouts")
    options = parser.parse_args(arguments)
    options.rollouts = options.rollouts or (24 if options.quick else 1000)
    for name, most in (("rollouts", 100_000), ("processes", 256)):
        if not 1 <= getattr(options, name) <= most:
            raise bench.UsageError(f"--{name} takes 1 to {most}, not {getattr(options, name)}")
    return options


def simulate_all(
    scenarios: Sequence[tuple[Scenario, int]], seed: int, processes: int, progress: Progress
) -> dict[Scenario, list[Outcome]]:
    """The outcomes of so many rollouts of each scenario."""
    tasks = [Task(scenario, number, seed) for scenario, count in scenarios for number in range(count)]
    progress.phase(f"{len(tasks):,} rollouts on {processes} processes")
    outcomes = iter(run(tasks, processes, lambda done: progress.tick(f"{done:,} of {len(tasks):,}")))
    return {scenario: [next(outcomes) for _ in range(count)] for scenario, count in scenarios}


def before(scenario: Scenario) -> Scenario:
    """The same by the fixed thresholds."""
    return replace(scenario, is_now=False)


def measure(options: argparse.Namespace, progress: Progress) -> dict[Scenario, list[Outcome]]:
    """All that the tables show."""
    few = min(20, max(2, options.rollouts // 10))
    wanted = [(FINE, options.rollouts), (before(FINE), max(few, options.rollouts // 10))]
    wanted += [(one, few) for harm in harms() for one in (harm, before(harm))]
    wanted += [(step, max(2, few // 4)) for step in steps()]
    return simulate_all(wanted, options.seed, options.processes, progress)


def report(results: dict[Scenario, list[Outcome]]) -> str:
    """The tables, as docs/performance.md has them."""
    tables = [
        without_harm(results[FINE], results[before(FINE)]),
        with_harm([(harm, results[harm], results[before(harm)]) for harm in harms()]),
        durations({step: results[step] for step in steps()}),
    ]
    return "\n\n".join("\n".join(markdown_table(*table, left=1)) for table in tables)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulates, prints, writes; gives the exit code."""
    options = parse(arguments)
    date, machine, progress = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), describe_machine(), Progress()
    results = measure(options, progress)
    command = shlex.join(["python", "loadtests/guard.py", *sys.argv[1:]])
    print(machine_line(date, machine, command, progress.elapsed_s), end="\n\n")
    print(report(results))
    raw = {
        "command": command,
        "date": date,
        "machine": machine,
        "outcomes": [
            {"scenario": scenario.name, "isNow": scenario.is_now}
            | {"rollouts": [asdict(one) | {"end": one.end.value} for one in outcomes]}
            for scenario, outcomes in results.items()
        ],
    }
    print(f"Results: {bench.write_json('guard', date, raw)}", file=sys.stderr)
    found = problems(results)
    for problem in found:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(bench.exit_code(main))
