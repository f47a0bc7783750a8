#!/usr/bin/env python3
"""The gateway, served by its aiohttp handlers alone: what its front door saves is told by the comparison.

    python loadtests/peer_servers/aiohttp_door.py CONFIG

serves as `tidegate serve --config CONFIG --port 0` does, with one process.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

# The script's directory is on the path, not that of the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from loadtests.dialect import GATEWAY, Dialect
from loadtests.server import Kind, Launch

NAME = "gateway without its front door"


def aiohttp_door(config: str, dialect: Dialect = GATEWAY) -> Kind:
    """The gateway with that configuration (TOML), and without its front door."""

    def launch(folder: Path) -> Launch:
        path = folder / "tidegate.toml"
        path.write_text(config)
        return Launch([sys.executable, str(Path(__file__).resolve()), str(path)])

    return Kind(NAME, launch, dialect)


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    from gateway.cli.loop import run
    from gateway.cli.options import settings_of
    from gateway.runtime import logs
    from gateway.service.serve import serve

    logs.configure("info")
    settings = settings_of(Path(arguments[0]), port=0, workers=1)
    run(serve(settings, way="handed_over", announce=lambda at: print(f"{NAME} on {at}", flush=True)))


if __name__ == "__main__":
    main(sys.argv[1:])
