#!/usr/bin/env python3
"""Several workers of the gateway, each on a loop that notes from inside how long something held it.

    python loadtests/watched_workers.py HOLDS CONFIG WAY

serves as `tidegate serve --config CONFIG --port 0` does, with the workers that CONFIG asks for. Each notes
into a file of its own in the folder HOLDS what loadtests/watched_gateway.py says. WAY is `create_app`'s:
`front_door`, or `handed_over` for a gateway without it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The script's directory is on the path, not that of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtests.server import Kind, Launch
from loadtests.watched_gateway import Hold, Watch, longest

FRONT_DOOR, WITHOUT = "front_door", "handed_over"
_WORKER = "--worker"


def watched_workers(config: str, holds: Path, way: str, workers: int) -> Kind:
    """The gateway with that configuration (TOML), and as many workers as it says; `holds` is a folder."""

    def launch(folder: Path) -> Launch:
        path = folder / "tidegate.toml"
        path.write_text(config)
        arguments = [sys.executable, str(Path(__file__).resolve()), str(holds), str(path), way]
        return Launch(arguments, children=workers)

    return Kind("gateway" if way == FRONT_DOOR else "gateway without its front door", launch)


def longest_of_all(holds: Path, began: float, ended: float) -> Hold:
    """The longest of each, of any worker's loop, between two moments (`time.monotonic`)."""
    found = [longest(path, began, ended) for path in holds.iterdir()]
    return Hold(max(hold.late_ms for hold in found), max(hold.cpu_ms for hold in found))


def main(arguments: Sequence[str]) -> None:
    """The command line: of whoever starts the workers, or of one of them."""
    if arguments[0] == _WORKER:
        sys.exit(_work(Path(arguments[1]), arguments[2]))
    from gateway.cli.loop import run
    from gateway.cli.options import settings_of
    from gateway.cli.workers import serve_workers
    from gateway.runtime import logs

    holds, config, way = arguments
    logs.configure("info")
    run(
        serve_workers(
            settings_of(Path(config), port=0),
            "info",
            lambda address: print(f"Watched workers on {address}", flush=True),
            command=(sys.executable, str(Path(__file__).resolve()), _WORKER, holds, way),
        )
    )


def _work(holds: Path, way: str) -> int:
    from gateway.cli import worker
    from gateway.service.serve import serve
    from gateway.service.settings import Settings

    async def serve_watched(settings: Settings, **options: Any) -> None:
        with (holds / str(os.getpid())).open("w", buffering=1) as file:
            Watch(file).begin()
            await serve(settings, way=way, **options)

    return worker.main(serve_watched)


if __name__ == "__main__":
    main(sys.argv[1:])
