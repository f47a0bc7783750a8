"""What a peer is to the benchmark, and how its installers are run."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.server import Kind

INSTALL_SECONDS = 300.0


class MissingError(Exception):
    """A peer is not here and can't be installed; the message says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A kind of server that can be started, and its versions in words."""

    kind: Kind
    version: str


def run(arguments: list[str], folder: Path) -> str:
    """Runs a tool in that folder and gives what it printed; MissingError where it is absent or fails."""
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except OSError as error:
        raise MissingError(f"{arguments[0]} can't be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{arguments[0]} took over {INSTALL_SECONDS:.0f} s") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise MissingError(f"{' '.join(arguments[:2])} failed: {words[-1] if words else done.returncode}")
    return done.stdout
