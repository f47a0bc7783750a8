#!/usr/bin/env python3
"""Measures what an idle stream keeps, and says where it goes.

    python loadtests/stream_memory.py                     8,000 streams of each kind: a minute
    python loadtests/stream_memory.py --quick             500

For each kind of streams a fresh gateway: resident memory before the streams, with them, when all have gone,
and when as many have come again; and what is reached from the open streams of Python's objects, by type
(loadtests/inspected_gateway.py). Socket buffers are the kernel's, and not in it. Prints tables, and writes
the raw results into loadtests/results. Exit codes: 0 measured; 1 a server did not do its work; 2 the options
do not allow the run.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

# `python loadtests/stream_memory.py` puts loadtests itself on the path, not the directory of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests import bench
from loadtests.access import CONFIG
from loadtests.crowd import Crowd, RunFailedError, Wanted
from loadtests.dialect import GATEWAY, Dialect
from loadtests.inspected_gateway import ask, inspected
from loadtests.measure import PATIENCE_SECONDS, SETTLE_SECONDS
from loadtests.peer_measure import warm_up_streams
from loadtests.progress import Progress
from loadtests.report import describe_machine, machine_line
from loadtests.server import GATEWAY_CONFIG, KINDS, Server

SHOWN_BYTES = 4.0
"""Types of which a stream has less stand in the table together."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Streams to be measured: of which gateway, and what each has of its own."""

    name: str
    config: str = GATEWAY_CONFIG.format(url="memory://")
    dialect: Dialect = GATEWAY
    own_entity: bool = False
    transports: bool = False

    def wanted(self, count: int) -> list[Wanted]:
        """So many of them."""
        return [Wanted(f"order:{number}" if self.own_entity else "", (0,)) for number in range(count)]


OF = (
    Streams("alike"),
    Streams("alike, on transports", transports=True),
    Streams("an entity each", own_entity=True),
    Streams("a token each", GATEWAY_CONFIG.format(url="memory://") + CONFIG, KINDS["gateway-jwt"].dialect),
)


@dataclass(frozen=True, slots=True)
class Found:
    """Bytes a stream: resident, what was left when all had gone, resident when they had come again, and those
    of Python's objects by type."""

    streams: str
    resident: float
    left: float
    again: float
    objects: dict[str, float]


def measure(of: Streams, count: int, core: int, progress: Progress) -> Found:
    """What so many of these streams keep. Raises RunFailedError."""
    progress.phase(f"{of.name}: {count:,} streams")
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.json"
        with Server(inspected(of.config, kept, of.dialect, transports=of.transports), core) as server:
            warm_up_streams(server, progress.tick, publishing=False)
            time.sleep(SETTLE_SECONDS)
            before = server.resident_bytes()
            sizes = []
            for _ in range(2):
                with Crowd(server.address, server.dialect) as crowd:
                    crowd.open(of.wanted(count), PATIENCE_SECONDS, progress.tick)
                    crowd.pump_for(SETTLE_SECONDS)
                    sizes.append(server.resident_bytes())
                time.sleep(SETTLE_SECONDS)  # they close as one
                sizes.append(server.resident_bytes())
            # At last: to look at the objects takes memory too, which stays.
            with Crowd(server.address, server.dialect) as crowd:
                crowd.open(of.wanted(count), PATIENCE_SECONDS, progress.tick)
                objects = ask(server, kept, count).object_bytes
    return Found(
        of.name,
        *((size - before) / count for size in sizes[:3]),
        {name: size / count for name, size in objects.items()},
    )


def tables(found: Sequence[Found]) -> str:
    """What was measured, in Markdown."""
    lines = [
        "| streams | bytes resident for each | left when all have gone | when as many have come again |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [_row(one.streams, [one.resident, one.left, one.again]) for one in found]
    lines += ["", f"| bytes for each stream | {' | '.join(one.streams for one in found)} |"]
    lines.append(f"| --- |{' ---: |' * len(found)}")
    names = {name for one in found for name in one.objects}
    largest = {name: max(one.objects.get(name, 0.0) for one in found) for name in names}
    shown = [name for name in sorted(names, key=lambda name: -largest[name]) if largest[name] >= SHOWN_BYTES]
    lines += [_row(f"`{name}`", [one.objects.get(name, 0.0) for one in found]) for name in shown]
    sums = [sum(one.objects.values()) for one in found]
    of_shown = [sum(one.objects.get(name, 0.0) for name in shown) for one in found]
    lines.append(_row("other objects", [all_of - some for all_of, some in zip(sums, of_shown, strict=True)]))
    rest = [one.resident - size for one, size in zip(found, sums, strict=True)]
    lines.append(_row("all else that is resident", rest))
    return "\n".join(lines) + "\n"


def _row(name: str, sizes: Sequence[float]) -> str:
    return f"| {name} | {' | '.join(f'{size:,.0f}' for size in sizes)} |"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; UsageError where they do not allow a run."""
    parser = argparse.ArgumentParser(
        description="Measures what an idle stream keeps, and says where it goes.",
        epilog="Example: python loadtests/stream_memory.py --streams 4000",
    )
    parser.add_argument("--streams", type=int, help="of each kind (8,000; with --quick 500)")
    parser.add_argument("--quick", action="store_true", help="a short run with smaller numbers")
    options = parser.parse_args(arguments)
    options.streams = options.streams or (500 if options.quick else 8_000)
    if options.streams < 1:
        raise bench.UsageError("--streams takes numbers from 1")
    return options


def run(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; gives the exit code."""
    options = parse(arguments)
    bench.raise_descriptor_limit(options.streams)
    core, _ = bench.choose_cores()
    date, machine = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), describe_machine()
    progress = Progress()
    try:
        found = [measure(of, options.streams, core, progress) for of in OF]
    except RunFailedError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    command = shlex.join(["python", "loadtests/stream_memory.py", *sys.argv[1:]])
    print(machine_line(date, machine, command, progress.elapsed_s), end="\n\n")
    print(tables(found), end="")
    results = {"command": command, "date": date, "machine": machine, "streams": options.streams}
    results |= {"found": [asdict(one) for one in found]}
    print(f"Results: {bench.write_json('stream-memory', date, results)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(bench.exit_code(run))
