"""Packages of npm that tests need: installed into a folder of theirs, named where that can't be."""

import shutil
import subprocess
from pathlib import Path

from tests.support.debian import missing

EVENTSOURCE = "eventsource@4"
"""The newest that runs on Node 20."""
JOSE = "jose@6"
JSON_SERVER = "json-server@0.17"
"""The last stable line: Express, with pages in Link fields."""
_INSTALL_SECONDS = 600


def require(command: str) -> str:
    """Where the command is. It may be missing on a workstation, and not where CI=true."""
    found = shutil.which(command)
    if found is None:
        missing(f"{command} is not installed")
    return found


def installed(script: Path, directory: Path, *packages: str) -> Path:
    """A copy of `script` in `directory`, beside the packages that it imports."""
    install(directory, *packages)
    shutil.copy(script, directory)
    return directory / script.name


def install(directory: Path, *packages: str) -> None:
    """Installs packages, with all that they need, into `directory`."""
    npm = require("npm")
    require("node")
    options = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--ignore-scripts"]
    installing = subprocess.run(
        [npm, "install", "--prefix", str(directory), *options, *packages],
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if installing.returncode:
        missing(f"npm could not install {' '.join(packages)}: {installing.stderr.strip()}")
