"""Measures what it costs to give many clients a whole list at once: by streams that begin with it, and else.

    python loadtests/state.py                  10,000 items of 1 KB to 1,000 clients: a minute
    python loadtests/state.py --quick          1,000 items to 50 clients

The same list by a stream with `state=with`, by GET /api/v1/sync/state, by the legacy path, and by nginx's
proxy_cache. The server has one core, the clients another. The gateway's loop is watched from inside: how
much CPU its longest turn took, while the clients connect and after that. Prints a table, and writes the raw
results into loadtests/results. Exit codes: 0 measured; 1 a client did not get the list, or a server failed;
2 the options or the machine's limits do not allow the run.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

# `python loadtests/state.py` puts loadtests itself on the path, not the directory of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.crowd import RunFailedError
from loadtests.measure import LossError
from loadtests.peer_servers.peer import MissingError
from loadtests.peer_servers.proxy_cache import proxy_cache
from loadtests.progress import Progress
from loadtests.report import describe_machine, machine_line
from loadtests.server import Kind, Server
from loadtests.state_measure import Taken, Way, answer_in, events_in, list_in, measure, upstream
from loadtests.watched_gateway import longest, watched

PATH = "/api/v1/orders"
WAYS = (
    Way(
        "stream with state",
        "/api/v1/sync/events?entity=order&state=with",
        b'"last":true',
        events_in,
    ),
    Way("GET /state", "/api/v1/sync/state?entity=order", b'"asOf":"', answer_in),
    Way("legacy path", PATH, b"]}", list_in),
)
CACHED = Way("nginx proxy_cache", PATH, b"]}", list_in)
CONFIG = """
[server]
host = "127.0.0.1"

[limits]
opens_per_second = 1000000

[[legacy]]
component = "orders"
path = "{path}"
upstream = "{upstream}/orders"
entity = "order"
items = "/docs"
key = "orderID"
interval_seconds = 3600.0
shared = true
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; None stands for the default of the run's length."""
    parser = argparse.ArgumentParser(
        description="Measures what it costs to give many clients a whole list at once.",
        epilog="Example: python loadtests/state.py --clients 2000 --items 1000",
    )
    parser.add_argument("--clients", type=int, help="how many at once (1,000; with --quick 50)")
    parser.add_argument("--items", type=int, help="of the list (10,000; with --quick 1,000)")
    parser.add_argument("--bytes", type=int, default=1000, help="of an item, about (1,000)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    return parser.parse_args(arguments)


def given(value: int | None, name: str, most: int, default: int) -> int:
    """An option within its bounds. Raises bench.UsageError."""
    if value is not None and not 1 <= value <= most:
        raise bench.UsageError(f"--{name} takes 1 to {most}, not {value}")
    return default if value is None else value


def a_list(count: int, size: int) -> list[Mapping[str, Any]]:
    """Items of about so many bytes."""
    return [
        {"orderID": f"ORDER-{number:06}", "n": number, "text": "x" * max(1, size - 60)}
        for number in range(count)
    ]


class Turns(NamedTuple):
    """The CPU of the longest turn of the loop, in ms: while the clients connect, and after that."""

    connecting: float
    after: float


def turns_of(holds: Path, one: Taken) -> Turns | None:
    """What was noted of the gateway's loop; None of another server."""
    if not holds.exists():
        return None
    connecting, after = longest(holds, one.began, one.begun), longest(holds, one.begun, one.ended)
    return Turns(connecting.cpu_ms, after.cpu_ms)


def table(taken: Sequence[tuple[Taken, Turns | None]]) -> str:
    """What was measured, in Markdown."""
    lines = [
        "| way | MB/s | seconds for all | server CPU ms/client | memory KiB/client "
        "| a request beside it p50 ms | longest ms | longest turn CPU ms | while they connect |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one, turns in taken:
        figures = (
            f"{one.bytes / 1e6 / one.seconds:,.0f}",
            f"{one.seconds:.1f}",
            f"{one.cpu_seconds * 1000 / one.clients:.2f}",
            f"{one.peak_bytes / 1024 / one.clients:.0f}",
            f"{one.probe_p50_ms:.1f}",
            f"{one.probe_max_ms:.1f}",
            *(("", "") if turns is None else (f"{turns.after:.1f}", f"{turns.connecting:.1f}")),
        )
        lines.append(f"| {one.way} | " + " | ".join(figures) + " |")
    return "\n".join(lines) + "\n"


def run(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; gives the exit code."""
    options = parse(arguments)
    clients = given(options.clients, "clients", 20_000, 50 if options.quick else 1_000)
    items = a_list(
        given(options.items, "items", 100_000, 1_000 if options.quick else 10_000),
        given(options.bytes, "bytes", 60_000, 1_000),
    )
    bench.raise_descriptor_limit(clients)
    core, _ = bench.choose_cores()
    date, machine = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), describe_machine()
    progress = Progress()
    taken: list[tuple[Taken, Turns | None]] = []
    missing = []
    try:
        with upstream(items) as url, TemporaryDirectory() as folder:
            holds = {way: Path(folder, f"{number}") for number, way in enumerate((*WAYS, CACHED))}
            runs: list[tuple[Kind, Way]] = [
                (watched(CONFIG.format(path=PATH, upstream=url), holds[way]), way) for way in WAYS
            ]
            try:
                runs.append((proxy_cache(url), CACHED))
            except MissingError as error:
                missing.append(str(error))
            for kind, way in runs:
                progress.phase(f"{way.name}: {clients:,} clients")
                with Server(kind, core) as server:
                    one = measure(server, way, clients, items, progress.tick)
                taken.append((one, turns_of(holds[way], one)))
    except (LossError, RunFailedError, OSError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        for problem in getattr(error, "problems", ()):
            print(f"  {problem}", file=sys.stderr)
        return 1
    command = shlex.join(["python", "loadtests/state.py", *sys.argv[1:]])
    print(machine_line(date, machine, command, progress.elapsed_s), end="\n\n")
    print(f"- {len(items):,} items of about {options.bytes:,} bytes to {clients:,} clients that ask at once.")
    for sentence in missing:
        print(f"- Not measured: {sentence}.")
    print("\n" + table(taken), end="")
    rows = [asdict(one) | {"turns": turns and turns._asdict()} for one, turns in taken]
    results = {"command": command, "date": date, "machine": machine, "taken": rows}
    print(f"Results: {bench.write_json('state', date, results)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(bench.exit_code(run))
