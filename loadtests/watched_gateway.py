#!/usr/bin/env python3
"""The gateway, on a loop that notes from inside how long something held it.

    python loadtests/watched_gateway.py HOLDS CONFIG

serves as `tidegate serve --config CONFIG --port 0` does, with one process. A timer of 1 ms runs beside all
else: where it rings late, a line goes into the file HOLDS, with three numbers: when that was
(CLOCK_MONOTONIC), by how much it was late, and how much CPU the loop's thread used since it rang last, all in
nanoseconds. The CPU is that of one turn of the loop, or of some that took under 1 ms together. The timer
takes some 10 µs of each ms.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

# The script's directory is on the path, not that of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests.server import Kind, Launch

TICK_SECONDS = 0.001
NOTED_NS = 1_000_000
"""Turns that held the loop for less are not written down."""


class Hold(NamedTuple):
    """Of one turn of the loop: how late the timer rang, and the CPU that went by, in milliseconds."""

    late_ms: float
    cpu_ms: float


def watched(config: str, holds: Path) -> Kind:
    """The gateway with that configuration (TOML), whose loop is watched; `holds` is the file for it."""

    def launch(folder: Path) -> Launch:
        path = folder / "tidegate.toml"
        path.write_text(config)
        return Launch([sys.executable, str(Path(__file__).resolve()), str(holds), str(path)])

    return Kind("gateway", launch)


def longest(holds: Path, began: float, ended: float) -> Hold:
    """The longest of each between two moments (`time.monotonic`); zeros where nothing was noted."""
    late = cpu = 0
    for line in holds.read_text().splitlines():
        at, late_ns, cpu_ns = map(int, line.split())
        if began * 1e9 <= at <= ended * 1e9:
            late, cpu = max(late, late_ns), max(cpu, cpu_ns)
    return Hold(late / 1e6, cpu / 1e6)


class Watch:
    """The timer on the running loop, from `begin` until the loop ends."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._rang_ns = self._cpu_ns = 0

    def begin(self) -> None:
        """Sets it."""
        self._rang_ns, self._cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        asyncio.get_running_loop().call_later(TICK_SECONDS, self._ring)

    def _ring(self) -> None:
        now, cpu = time.monotonic_ns(), time.thread_time_ns()
        late = now - self._rang_ns - int(TICK_SECONDS * 1e9)
        if late > NOTED_NS:
            self._file.write(f"{now} {late} {cpu - self._cpu_ns}\n")
        self.begin()


async def _serve(config: Path, file: TextIO) -> None:
    from gateway.cli.options import settings_of
    from gateway.service.serve import serve

    Watch(file).begin()
    await serve(
        settings_of(config, port=0, workers=1),
        announce=lambda address: print(f"Watched gateway on {address}", flush=True),
    )


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    from gateway.cli.loop import run
    from gateway.runtime import logs

    holds, config = map(Path, arguments)
    logs.configure("info")
    with holds.open("w", buffering=1) as file:
        run(_serve(config, file))


if __name__ == "__main__":
    main(sys.argv[1:])
