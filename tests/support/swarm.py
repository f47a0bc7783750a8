"""The load test's users as a test sees them: Locust's table as it grows, from a process of its own."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

# Importing Locust alone takes seconds where the machine is busy.
PATIENCE_SECONDS = 60.0


class Table:
    """How many requests, and failures, each of Locust's rows has; 0 for a row that is not there."""

    def __init__(self, rows: Mapping[str, list[int]]) -> None:
        self._rows = rows

    def __getitem__(self, row: str) -> int:
        return self._rows.get(row, [0, 0])[0]

    def failures(self) -> dict[str, int]:
        """The rows that have any."""
        return {row: failed for row, (_, failed) in self._rows.items() if failed}

    def __repr__(self) -> str:
        return repr(self._rows)


class Swarm:
    """Running users. Everything that waits gives up after PATIENCE_SECONDS."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._table = Table({})

    async def until(self, condition: Callable[[Table], bool]) -> Table:
        """Waits until the table is so, and gives it."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition(self._table):
                    self._table = Table((await self._line())["rows"])
        except TimeoutError:
            raise AssertionError(f"it never came to that: {self._table}") from None
        return self._table

    async def say(self, command: str) -> None:
        """`cut`, `publish` or `quiet`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    async def end(self) -> tuple[Table, Any]:
        """Stops the users; gives the last table, and the figures and errors of all of it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "figures" not in (last := await self._line()):
                pass
            assert await self._process.wait() == 0
        return Table(last["rows"]), last

    async def _line(self) -> Any:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the users' process has ended: its reason stands on standard error"
        return json.loads(line)


@asynccontextmanager
async def swarm(port: int, *arguments: str) -> AsyncIterator[Swarm]:
    """Users on 127.0.0.1:`port`; see tests/support/swarm_process.py for the arguments."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.swarm_process", f"http://127.0.0.1:{port}", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Swarm(process)
    finally:
        if process.returncode is None:
            process.kill()
        # Reads the pipes to their ends, so that their transports are closed.
        await process.communicate()
