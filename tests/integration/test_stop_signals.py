"""Commands that run until they are told to stop: by any of three signals, said once or again and again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.command import command
from tests.support.http import DEADLINE_SECONDS
from tests.support.postgres import log_database
from tests.support.redis import redis_server

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.asynccontextmanager
async def running(*arguments: str, module: str = "gateway") -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that has said its line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await process.stdout.readline()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def end(process: asyncio.subprocess.Process, numbers: Sequence[signal.Signals]) -> int:
    """Sends the signals over and over until the process is gone: one comes at each moment of its end."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while process.returncode is None:
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    # Not by `send_signal`, which takes the exit code away from the loop that waits for it.
                    os.kill(process.pid, number)
            await asyncio.sleep(0.001)
    return process.returncode


@pytest.fixture(params=["serve", "workers", "relay", "demo", "demo's orders"])
async def long_running(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    async with contextlib.AsyncExitStack() as stack:
        file = tmp_path / "tidegate.toml"
        file.write_text("")
        arguments = ["serve", "--config", str(file), "--port", "0"]
        module = "gateway"
        if request.param == "workers":
            server = stack.enter_context(redis_server())
            file.write_text(f'[log]\nurl = "{server.url}"\n')
            arguments += ["--workers", "2"]
        elif request.param == "relay":
            server = stack.enter_context(redis_server())
            database = await stack.enter_async_context(log_database())
            arguments = ["relay", "--from", database, "--to", server.url]
        elif request.param == "demo":
            arguments = ["demo", "--port", "0"]
        elif request.param == "demo's orders":
            module, arguments = "gateway.demo.backend", ["--port", "0"]
        yield await stack.enter_async_context(running(*arguments, module=module))


async def test_signals_that_come_until_the_very_end_change_nothing(
    long_running: asyncio.subprocess.Process,
) -> None:
    assert await end(long_running, SIGNALS) == 0


@pytest.mark.parametrize("number", SIGNALS)
async def test_each_of_them_drains_and_ends_with_0(number: signal.Signals) -> None:
    async with command("serve", "--port", "0") as gateway:
        await gateway.line()
        gateway.signal(number)
        assert (await gateway.end())[0] == 0


async def test_a_hangup_that_is_ignored_stays_so() -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "from gateway.cli.main import main; sys.argv[0] = 'tidegate'; main()"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "serve", "--port", "0"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await process.stdout.readline()
        status = await asyncio.to_thread(Path(f"/proc/{process.pid}/status").read_text)
        (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")]
        assert int(mask, 16) & 1 << (signal.SIGHUP - 1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
