"""Tests don't depend on which signals whoever started them ignores, as a shell's background jobs do."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOW = ("cat", "/proc/self/status")
NONE = f"{0:016x}"

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ignored(status: bytes) -> str:
    """The mask of the ignored signals (proc(5))."""
    (mask,) = [line.split()[1] for line in status.decode().splitlines() if line.startswith("SigIgn:")]
    return mask


@needs_proc
async def test_child_processes_ignore_no_signal() -> None:
    child = await asyncio.create_subprocess_exec(*SHOW, stdout=asyncio.subprocess.PIPE)
    status, _ = await child.communicate()

    assert ignored(status) == NONE
    assert ignored(subprocess.run(SHOW, capture_output=True, check=True).stdout) == NONE  # noqa: ASYNC221


@needs_proc
def test_that_holds_whatever_the_caller_ignores() -> None:
    pytest_of_one = f"'{sys.executable}' -m pytest -q -p no:cacheprovider '{__file__}' -k ignore_no_signal"
    ended = subprocess.run(
        ["sh", "-c", f"trap '' INT TERM HUP QUIT PIPE ALRM USR1; exec {pytest_of_one}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout
