"""Tests don't depend on which signals whoever started them ignores, as a shell's background jobs do."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHOW = ("cat", "/proc/self/status")
STANDARD = (1 << 31) - 1
"""The signals up to 31 (signal(7)). Some of those above are the C library's own, and nobody can set them."""

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ignored(status: bytes) -> int:
    """The mask of the ignored standard signals (proc(5))."""
    (mask,) = [line.split()[1] for line in status.decode().splitlines() if line.startswith("SigIgn:")]
    return int(mask, 16) & STANDARD


@needs_proc
async def test_child_processes_ignore_no_signal() -> None:
    child = await asyncio.create_subprocess_exec(*SHOW, stdout=asyncio.subprocess.PIPE)
    status, _ = await child.communicate()

    assert ignored(status) == 0
    assert ignored(subprocess.run(SHOW, capture_output=True, check=True).stdout) == 0  # noqa: ASYNC221


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
