"""Measures what a busy channel costs: many users, of whom some come and go all the time.

    python loadtests/presence.py                 1,000 users, 50 a second come and go: 90 s
    python loadtests/presence.py --quick         50 users, 10 a second

Three runs, each with a gateway of its own: the users' streams without a channel, while others come and go;
the same in one channel; and one event at a time to all of them, as often and as large as what the channel
told. What the channel costs is the second less the first; the third is what it is held against. In the end
every stream has to know who is there. The server has one core, the clients another. Prints a table, and
writes the raw results into loadtests/results. Exit codes: 0 measured; 1 a stream was told wrong, or a server
failed; 2 the options or the machine's limits do not allow the run.
"""

import argparse
import asyncio
import shlex
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

# `python loadtests/presence.py` puts loadtests itself on the path, not the directory of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.channel_watch import Watcher, ask, publish
from loadtests.crowd import Address, RunFailedError
from loadtests.progress import Progress
from loadtests.report import describe_machine, machine_line
from loadtests.server import QUIET_CONFIG, Server, gateway

CHANNEL = "portal"
STAYS_SECONDS = 1.0
"""How long each of those who come and go is there."""
WINDOW_SECONDS = 0.1
"""How often a channel's readers are told (gateway/delivery/pace.py)."""
SETTLE_SECONDS = 60.0
OPENED_AT_ONCE = 50


EMPTY_BYTES = 234
"""Of an event without its padding."""


@dataclass(frozen=True, slots=True)
class Options:
    """How many stay, how many come and go in a second, and for how many seconds."""

    users: int
    rate: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Run:
    """`payloads` are the writes that streams got, with so many `frames` and `bytes` in all."""

    name: str
    seconds: float
    cpu_seconds: float
    payloads: int = 0
    frames: int = 0
    bytes: int = 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; None stands for the default of the run's length."""
    parser = argparse.ArgumentParser(
        description="Measures what a busy channel costs.",
        epilog="Example: python loadtests/presence.py --users 2000 --rate 20",
    )
    parser.add_argument("--users", type=int, help="who stay (1,000; with --quick 50)")
    parser.add_argument("--rate", type=int, help="joins, and leaves, in a second (50; with --quick 10)")
    parser.add_argument("--seconds", type=int, help="of each run (20; with --quick 2)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    return parser.parse_args(arguments)


def given(value: int | None, name: str, most: int, default: int) -> int:
    """An option within its bounds. Raises bench.UsageError."""
    if value is not None and not 1 <= value <= most:
        raise bench.UsageError(f"--{name} takes 1 to {most}, not {value}")
    return default if value is None else value


async def opened(address: Address, count: int, query: dict[str, str], progress: Progress) -> list[Watcher]:
    """So many streams, each with a user of its own."""
    watchers = [Watcher(address, query | {"clientId": f"user-{number:05}"}) for number in range(count)]
    for at in range(0, count, OPENED_AT_ONCE):
        await asyncio.gather(*(watcher.open() for watcher in watchers[at : at + OPENED_AT_ONCE]))
        progress.tick(f"{at:,} of {count:,} streams open")
    return watchers


async def come_and_go(address: Address, query: dict[str, str], rate: int, seconds: int) -> None:
    """Others come, `rate` in a second, and each goes again; all are gone in the end."""
    loop = asyncio.get_running_loop()
    began, there = loop.time(), deque[Watcher]()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        watcher = Watcher(address, query | {"clientId": f"guest-{number:06}"})
        await watcher.open()
        there.append(watcher)
        if len(there) > rate * STAYS_SECONDS:
            there.popleft().close()
    for watcher in there:
        watcher.close()


async def settled(watchers: Sequence[Watcher], users: set[str]) -> None:
    """Returns once every stream knows that these are there. Raises RunFailedError where one does not."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while any(watcher.users != users for watcher in watchers):
        if asyncio.get_running_loop().time() > deadline:
            wrong = sum(watcher.users != users for watcher in watchers)
            raise RunFailedError(f"{wrong:,} streams do not know who is there")
        await asyncio.sleep(WINDOW_SECONDS)


def counted(name: str, watchers: Sequence[Watcher], before: Run, seconds: float, cpu_ns: int) -> Run:
    """What the streams got since `before`. Raises RunFailedError where they were told wrong."""
    problems = [problem for watcher in watchers for problem in watcher.problems]
    if problems:
        raise RunFailedError(f"{len(problems):,} problems, the first: {problems[0]}")
    return Run(
        name,
        seconds,
        cpu_ns / 1e9,
        sum(watcher.payloads for watcher in watchers) - before.payloads,
        sum(watcher.frames for watcher in watchers) - before.frames,
        sum(watcher.bytes for watcher in watchers) - before.bytes,
    )


async def busy(server: Server, name: str, options: Options, query: dict[str, str], progress: Progress) -> Run:
    """The users' streams, while others come and go."""
    watchers = await opened(server.address, options.users, query, progress)
    users = {f"user-{number:05}" for number in range(options.users)}
    if "presence" in query:
        await settled(watchers, users)
    loop = asyncio.get_running_loop()
    before = counted(name, watchers, Run(name, 0, 0), 0, 0)
    began, cpu = loop.time(), server.cpu()
    await come_and_go(server.address, query, options.rate, options.seconds)
    if "presence" in query:
        await settled(watchers, users)
        listed = await ask(server.address, f"/api/v1/sync/presence/{CHANNEL}")
        if listed["users"].keys() != users:
            raise RunFailedError("the list of who is there is another than what streams were told")
    used = server.cpu().since(cpu).total_ns
    run = counted(name, watchers, before, loop.time() - began, used)
    for watcher in watchers:
        watcher.close()
    return run


async def events(server: Server, options: Options, like: Run, progress: Progress) -> Run:
    """One event at a time to all streams, as many and as large as what the channel told each of them."""
    watchers = await opened(server.address, options.users, {"entity": "order"}, progress)
    count, size = max(1, round(like.payloads / options.users)), round(like.bytes / max(1, like.payloads))
    event = {
        "eventType": "stage_change",
        "entityType": "order",
        "entityId": "O-1",
        "data": {"pad": "x" * max(0, size - EMPTY_BYTES)},
    }
    loop = asyncio.get_running_loop()
    began, cpu = loop.time(), server.cpu()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number * like.seconds / count - loop.time()))
        await publish(server.address, [event])
    deadline = loop.time() + SETTLE_SECONDS
    while any(watcher.frames < count for watcher in watchers):
        if loop.time() > deadline:
            raise RunFailedError("an event was lost")
        await asyncio.sleep(WINDOW_SECONDS)
    used = server.cpu().since(cpu).total_ns
    run = counted("events", watchers, Run("", 0, 0), loop.time() - began, used)
    for watcher in watchers:
        watcher.close()
    return run


def table(without: Run, channel: Run, plain: Run) -> str:
    """What was measured, in Markdown."""
    own = channel.cpu_seconds - without.cpu_seconds
    rows = [
        ("streams that come and go, in no channel", without.cpu_seconds, without),
        ("the same in one channel", channel.cpu_seconds, channel),
        ("the channel alone", own, channel),
        ("events as many and as large", plain.cpu_seconds, plain),
    ]
    lines = [
        "| run | seconds | server CPU s | of the core | writes to streams | bytes each | CPU µs a write |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, cpu, run in rows:
        writes = (
            (f"{run.payloads:,}", f"{run.bytes / run.payloads:,.0f}", f"{cpu * 1e6 / run.payloads:.1f}")
            if run.payloads
            else ("", "", "")
        )
        share = f"{100 * cpu / run.seconds:.0f} %"
        lines.append(f"| {name} | {run.seconds:.1f} | {cpu:.2f} | {share} | " + " | ".join(writes) + " |")
    ratio = (own / channel.payloads) / (plain.cpu_seconds / plain.payloads)
    lines += ["", f"- What the channel told cost {ratio:.2f} of events as many and as large."]
    return "\n".join(lines) + "\n"


def run(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; gives the exit code."""
    asked = parse(arguments)
    options = Options(
        given(asked.users, "users", 10_000, 50 if asked.quick else 1_000),
        given(asked.rate, "rate", 1_000, 10 if asked.quick else 50),
        given(asked.seconds, "seconds", 600, 2 if asked.quick else 20),
    )
    bench.raise_descriptor_limit(options.users + 2 * options.rate)
    core, _ = bench.choose_cores()
    date, machine = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), describe_machine()
    progress, kind = Progress(), gateway(QUIET_CONFIG)
    try:
        progress.phase(f"{options.users:,} streams in no channel")
        with Server(kind, core) as server:
            without = asyncio.run(busy(server, "without", options, {"entity": "order"}, progress))
        progress.phase(f"{options.users:,} streams in one channel")
        with Server(kind, core) as server:
            query = {"entity": "order", "presence": CHANNEL}
            channel = asyncio.run(busy(server, "channel", options, query, progress))
        progress.phase(f"events to {options.users:,} streams")
        with Server(kind, core) as server:
            plain = asyncio.run(events(server, options, channel, progress))
    except (RunFailedError, OSError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    command = shlex.join(["python", "loadtests/presence.py", *sys.argv[1:]])
    print(machine_line(date, machine, command, progress.elapsed_s), end="\n\n")
    print(f"- {options.users:,} users stay; {options.rate:,} a second come, and as many go.\n")
    print(table(without, channel, plain), end="")
    runs = [asdict(one) for one in (without, channel, plain)]
    results = {"command": command, "date": date, "machine": machine, "runs": runs}
    print(f"Results: {bench.write_json('presence', date, results)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(bench.exit_code(run))
