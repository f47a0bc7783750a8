"""Packages of PyPI that tests need and the project does not: in a folder of theirs, named where they lack."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.debian import missing

_INSTALL_SECONDS = 600


def environment_with(directory: Path, *packages: str) -> dict[str, str]:
    """Installs packages into `directory`; gives the environment of a Python that finds them there."""
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--target", str(directory)]
    installing = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *packages],
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if installing.returncode:
        missing(f"pip could not install {' '.join(packages)}: {installing.stderr.strip()}")
    return os.environ | {"PYTHONPATH": str(directory)}
