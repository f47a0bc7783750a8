"""Measures what many events cost a page that follows them with the client, in Debian's Chromium.

    python loadtests/page.py                  10,000 events three times, then an hour's worth: 2 minutes
    python loadtests/page.py --quick          1,000 events, then 2,000

The events come as a backlog, all at once after a stall, and then as they are published. A task of over 50 ms
holds a page up (W3C Long Tasks): there has to be none, and every event has to come once. Then it follows an
hour's worth of events at speed, with its stream cut off now and again, and its heap is compared before and
after. Prints a table, and writes the raw results into loadtests/results. Exit codes: 0 measured; 1 an event
was lost or came twice; 2 the options do not allow the run, or there is no Chromium.
"""

import argparse
import asyncio
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

# `python loadtests/page.py` puts loadtests itself on the path, not the directory of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.progress import Progress
from loadtests.report import describe_machine, machine_line
from tests.support.api import EVENTS
from tests.support.browser import Tab, browsing
from tests.support.browser_world import FAST, SPEED, World, a_world
from tests.support.faulty_proxy import Fault

BATCH = 500
HOUR = 72_000
"""Events of an hour, at 20 a second."""
BATCHES_A_STREAM = 8
"""So often is the stream of the hour cut off: every three minutes."""
LONG_MS = 50
WATCH = """
    globalThis.tasks = [];
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) tasks.push(duration);
    }).observe({ entryTypes: ["longtask"] });
"""


@dataclass(frozen=True, slots=True)
class Round:
    """`seconds` are those of the page, from when the first event could come to the last one."""

    way: str
    events: int
    seconds: float
    long_tasks: int
    longest_ms: float


@dataclass(frozen=True, slots=True)
class Hour:
    """The page's heap, after a collection: before so many events and cuts, and after them."""

    events: int
    cuts: int
    bytes_before: int
    bytes_after: int


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measures what many events cost a page that follows them with the client.",
        epilog="Example: python loadtests/page.py --events 20000 --rounds 5",
    )
    parser.add_argument("--events", type=int, help="of a round (10,000; with --quick 1,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each way (3)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    options = parser.parse_args(arguments)
    options.events = options.events or (1_000 if options.quick else 10_000)
    if not (BATCH <= options.events <= 100_000 and 1 <= options.rounds <= 100):
        raise bench.UsageError(f"--events takes {BATCH} to 100000, and --rounds 1 to 100")
    return options


async def watched(one: World, tab: Tab, way: str, events: int) -> Round:
    """One round. The events are published in batches, and held back until the last one for a backlog."""
    await tab.value("tasks.length = 0")
    first = one.publisher.last + 1
    if way == "backlog":
        await one.proxy.become(Fault.STALL)
    began = await tab.value("performance.now()")
    for _ in range(events // BATCH):
        await one.publisher.publish(BATCH)
    if way == "backlog":
        began = await tab.value("performance.now()")
        await one.proxy.become(Fault.NONE)
    await tab.has(one.publisher.last)
    ended = await tab.value("performance.now()")
    await tab.accounts_for(one.publisher.last, first=first)
    tasks = await tab.value("tasks")
    long = [task for task in tasks if task > LONG_MS]
    await tab.value("got.length = 0")
    return Round(way, events, (ended - began) / 1000, len(long), max(tasks, default=0.0))


async def an_hour(one: World, tab: Tab, events: int) -> Hour:
    """Many events, with cuts between them; the page keeps nothing of them that the client does not."""
    before = await tab.heap_bytes()
    cuts = 0
    for number in range(events // BATCH):
        await one.publisher.publish(BATCH)
        await tab.has(one.publisher.last)
        if number % BATCHES_A_STREAM == 0:
            cuts += one.proxy.cut(EVENTS)
    return Hour(events, cuts, before, await tab.heap_bytes())


async def measure(
    options: argparse.Namespace, directory: Path, progress: Progress
) -> tuple[list[Round], Hour]:
    async with browsing() as browser, a_world(browser, directory, **FAST) as one:
        tab = await one.open()
        await tab.streams()
        await tab.value(WATCH)
        rounds = []
        for way in ("backlog", "as they come"):
            progress.phase(f"{options.events:,} events, {way}")
            # The first round is of code that was not compiled yet: it counts as any other.
            rounds += [await watched(one, tab, way, options.events) for _ in range(options.rounds)]
        await tab.page.close()
        tab = await one.open(speed=SPEED, keep=100)
        await tab.streams()
        progress.phase("an hour")
        await an_hour(one, tab, 10 * BATCH)
        return rounds, await an_hour(one, tab, 2_000 if options.quick else HOUR)


def table(rounds: Sequence[Round], hour: Hour) -> str:
    """What was measured, in Markdown."""
    lines = [
        f"| events | as | seconds | µs an event | tasks over {LONG_MS} ms | longest task ms |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for one in rounds:
        longest = f"{one.longest_ms:.0f}" if one.longest_ms else f"under {LONG_MS}"
        lines.append(
            f"| {one.events:,} | {one.way} | {one.seconds:.2f} | {one.seconds / one.events * 1e6:.0f} "
            f"| {one.long_tasks} | {longest} |"
        )
    grown = hour.bytes_after - hour.bytes_before
    lines.append(
        f"\n{hour.events:,} events, {hour.cuts} times cut off: the heap was {hour.bytes_before / 1e6:.2f} "
        f"MB before and {hour.bytes_after / 1e6:.2f} MB after, {grown / hour.events:.1f} bytes an event."
    )
    return "\n".join(lines) + "\n"


def run(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; gives the exit code."""
    options = parse(arguments)
    if shutil.which("chromium") is None:
        raise bench.UsageError("chromium is not installed: apt-get install chromium")
    date, machine = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), describe_machine()
    progress = Progress()
    try:
        with TemporaryDirectory() as folder:
            rounds, hour = asyncio.run(measure(options, Path(folder), progress))
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    command = shlex.join(["python", "loadtests/page.py", *sys.argv[1:]])
    print(machine_line(date, machine, command, progress.elapsed_s), end="\n\n")
    print(table(rounds, hour), end="")
    results = {"command": command, "date": date, "machine": machine}
    results |= {"rounds": [asdict(one) for one in rounds], "hour": asdict(hour)}
    print(f"Results: {bench.write_json('page', date, results)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(bench.exit_code(run))
