"""`tidegate demo` in a process of its own."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator

from tests.support.http import DEADLINE_SECONDS

NOBODY_MOVES = "3600"
"""A pause of the simulator that outlasts every test."""


@contextlib.asynccontextmanager
async def running(
    *options: str, seconds: float = DEADLINE_SECONDS
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`tidegate demo` with its pipes; ended by the test, which has so many seconds, or killed here."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "demo", "--every", NOBODY_MOVES, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def address_of(process: asyncio.subprocess.Process) -> str:
    """The address that it prints once it serves, with a slash at its end."""
    assert process.stdout is not None, "started with a pipe"
    line = (await process.stdout.readline()).decode()
    found = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert found, line
    assert "Ctrl-C" in line
    return found[0]
