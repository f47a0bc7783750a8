"""Measures what compressed streams save in bytes and cost in CPU: the same events with and without gzip.

    python loadtests/compression.py            some three minutes: 1,000 streams
    python loadtests/compression.py --quick    under 30 s, for a first look

Every stream of either gateway checks that it gets every event once and in order; of the compressed one it
unpacks each chunk by itself, as a client must be able to that joins there. Writes a table to stdout. Exit
codes: 0 measured; 1 an event was lost, doubled or out of order, or a gateway failed; 2 the options or the
machine's limits do not allow the run.
"""

import argparse
import gc
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

# `python loadtests/compression.py` puts loadtests itself on the path, not the package's directory.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.crowd import Crowd, RunFailedError, Wanted
from loadtests.dialect import Dialect
from loadtests.measure import (
    BATCH,
    PATIENCE_SECONDS,
    PAUSE_SECONDS,
    SETTLE_SECONDS,
    LoadResult,
    LossError,
    full_speed,
    measured,
    verify,
)
from loadtests.peer_measure import NOBODY, warm_up_streams
from loadtests.progress import Progress
from loadtests.publisher import Publisher
from loadtests.report import describe_machine, machine_line, markdown_table, merged_loads
from loadtests.server import Kind, Server, gateway

CONFIG = """
[server]
host = "127.0.0.1"

[log]
url = "memory://"

[stream]
compression = "gzip"
heartbeat_seconds = 3600
"""
PLAIN, GZIP = "plain", "gzip"
STREAMS, ROUNDS = 1_000, 3
QUICK_STREAMS, QUICK_SHARE = 100, 10


class Burst(NamedTuple):
    """So many events in one request, and how often."""

    events: int
    times: int

    @property
    def name(self) -> str:
        """As the table has it."""
        return "single events" if self.events == 1 else f"{self.events} events at once"


LOADS = (Burst(1, 100), Burst(5, 60), Burst(20, 40), Burst(BATCH, 20))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Measures streams with and without gzip.")
    parser.add_argument("--streams", type=int, help=f"how many ({STREAMS:,}; quick: {QUICK_STREAMS})")
    parser.add_argument("--rounds", type=int, help=f"fresh gateways, in turns ({ROUNDS}; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    return parser.parse_args(arguments)


def kind(coding: str) -> Kind:
    """One and the same gateway; whether a stream is compressed is what its client accepts."""
    return Kind(coding, gateway(CONFIG).launch, Dialect(codings="gzip" if coding == GZIP else ""))


def measure(
    coding: str, streams: int, core: int, loads: Sequence[Burst], progress: Progress
) -> list[LoadResult]:
    """The loads on a fresh gateway. Raises LossError or RunFailedError."""
    progress.phase(f"{coding}: opening {streams:,} streams")
    with Server(kind(coding), core) as server:
        warm_up_streams(server, progress.tick)
        with (
            Crowd(server.address, server.dialect) as crowd,
            Publisher(crowd, lanes=1, orders=True) as publisher,
        ):
            crowd.open([Wanted("", (0,))] * streams, PATIENCE_SECONDS, progress.tick)
            crowd.pump_for(SETTLE_SECONDS)
            results = []
            for burst in loads:
                progress.phase(f"{coding}: {burst.name}")
                work = partial(_work, burst, crowd, publisher, progress)
                results.append(measured(burst.name, server, crowd, publisher, work))
                verify(f"{coding}: {burst.name}", crowd, publisher)
            return results


def _work(burst: Burst, crowd: Crowd, publisher: Publisher, progress: Progress) -> None:
    """Each burst in one request, the next when all streams have had the last, and after a pause."""
    for _ in range(burst.times):
        names = [NOBODY] * burst.events
        full_speed(names, burst.events, PATIENCE_SECONDS, crowd, publisher, progress.tick)
        crowd.pump_for(PAUSE_SECONDS)


def as_table(results: list[LoadResult]) -> list[str]:
    """The table's lines: for each load the plain stream and the compressed one, and their ratios."""
    found = {(load.load, load.server): load for load in merged_loads(results)}
    rows = []
    for name in dict.fromkeys(load for load, _ in found):
        plain, packed = found[name, PLAIN], found[name, GZIP]
        size = packed.bytes_per_delivery / plain.bytes_per_delivery
        cpu = packed.cpu_us_per_delivery / plain.cpu_us_per_delivery
        rows += [_row(plain, "", ""), _row(packed, f"{size:.2f}", f"{cpu:.2f}")]
    header = (
        *("load", "streams", "events", "bytes/delivery", "of plain", "CPU µs/delivery", "of plain"),
        *("p50 ms", "p99 ms", "core taken", "generator CPU"),
    )
    return markdown_table("Compressed streams", header, rows, left=2)


def _row(load: LoadResult, size_ratio: str, cpu_ratio: str) -> tuple[str, ...]:
    return (
        load.load,
        load.server,
        f"{load.events:,}",
        f"{load.bytes_per_delivery:.0f}",
        size_ratio,
        f"{load.cpu_us_per_delivery:.2f}",
        cpu_ratio,
        f"{load.latency_p50_ms:.1f}",
        f"{load.latency_p99_ms:.1f}",
        f"{load.server_wait_share:.0%}",
        f"{load.generator_cpu_share:.0%}",
    )


def describe(streams: int, rounds: int) -> list[str]:
    """What was done, in words."""
    return [
        f"- {streams:,} streams; rounds: {rounds}, each with fresh gateways, in turns; medians. The gateway "
        "has one core, the generator the other. No heartbeats.",
        "- Changes of orders with their new and their old state, some 550 bytes of JSON each. What comes at "
        "once comes in one request, and the next when all streams have had it.",
    ]


def run(options: argparse.Namespace) -> int:
    """Measures, prints, writes; gives the exit code."""
    quick = options.quick
    streams = options.streams if options.streams is not None else (QUICK_STREAMS if quick else STREAMS)
    rounds = options.rounds if options.rounds is not None else (1 if quick else ROUNDS)
    if streams < 1 or rounds < 1:
        raise bench.UsageError("--streams and --rounds take a number from 1")
    bench.raise_descriptor_limit(streams)
    loads = [burst._replace(times=burst.times // QUICK_SHARE) for burst in LOADS] if quick else LOADS
    date, machine = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), describe_machine()
    command = shlex.join(["python", "loadtests/compression.py", *sys.argv[1:]])
    core, _ = bench.choose_cores()
    # Only reference counts here: a collection of many streams would show up as a latency of the gateway.
    gc.disable()
    progress = Progress()
    results: list[LoadResult] = []
    try:
        for number in range(rounds):
            for coding in (PLAIN, GZIP) if number % 2 == 0 else (GZIP, PLAIN):
                results += measure(coding, streams, core, loads, progress)
    except LossError as error:
        print("FAILED: " + "\n  ".join([str(error), *error.problems]), file=sys.stderr)
        return 1
    except (RunFailedError, OSError) as error:  # OSError: sockets and /proc of a gateway that fell
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    head = machine_line(date, machine, command, progress.elapsed_s)
    print("\n".join([head, "", *describe(streams, rounds), "", *as_table(results)]))
    raw = {"command": command, "date": date, "machine": machine, "loads": [asdict(one) for one in results]}
    print(f"Results: {bench.write_json('compression', date, raw)}", file=sys.stderr)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's text for the exit codes."""
    return bench.exit_code(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
