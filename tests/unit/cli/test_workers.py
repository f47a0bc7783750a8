"""Whoever started workers does not end before they have."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator

import pytest

from gateway.cli.workers import MARGIN_SECONDS, end
from gateway.runtime.stopping import STOP_SECONDS
from tests.support.http import DEADLINE_SECONDS

HEEDS = "import time; print(flush=True); time.sleep(3600)"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HEEDS}"


@contextlib.asynccontextmanager
async def running(code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has begun with `code`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await process.stdout.readline()
            yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_one_that_ends_in_time_is_not_killed(caplog: pytest.LogCaptureFixture) -> None:
    async with running(HEEDS) as process:
        await end(process, DEADLINE_SECONDS, worker=1)
        assert process.returncode is not None
    assert caplog.messages == []


async def test_one_that_does_not_end_in_time_is_killed_and_named(caplog: pytest.LogCaptureFixture) -> None:
    async with running(IGNORES) as process:
        await end(process, 0.01, worker=2)
        assert process.returncode is not None
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "worker_killed")
    assert record.fields == {"worker": 2, "pid": process.pid}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code", "seconds", "lines"),
    [
        pytest.param(HEEDS, DEADLINE_SECONDS, [], id="ends"),
        pytest.param(IGNORES, 0.01, ["worker_killed"], id="is killed"),
    ],
)
async def test_whoever_is_cancelled_meanwhile_ends_after_the_process(
    caplog: pytest.LogCaptureFixture, code: str, seconds: float, lines: list[str]
) -> None:
    async with running(code) as process:
        ending = asyncio.ensure_future(end(process, seconds, worker=1))
        for _ in range(2):
            await asyncio.sleep(0)
            ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert process.returncode is not None
    assert caplog.messages == lines


def test_a_worker_has_the_time_to_end_by_itself() -> None:
    assert MARGIN_SECONDS > STOP_SECONDS
