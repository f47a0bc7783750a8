"""What is closed at the end, whatever fails or hangs on the way, and a process that ends all the same."""

import asyncio
import logging
import sys

import pytest

from gateway.runtime.stopping import CUT_OFF, Closing
from tests.support.http import DEADLINE_SECONDS


class Part:
    """Says in `closed` when it is closed, and may fail then."""

    def __init__(self, name: str, closed: list[str], failure: Exception | None = None) -> None:
        self.name = name
        self._closed = closed
        self._failure = failure

    async def close(self) -> None:
        self._closed.append(self.name)
        if self._failure is not None:
            raise self._failure


class Deaf:
    """Does not end its close before `heard` is set, however often that is cancelled."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.cancellations = 0
        self.ended = asyncio.Event()

    async def close(self) -> None:
        while not self.heard.is_set():
            try:
                await self.heard.wait()
            except asyncio.CancelledError:
                self.cancellations += 1
        self.ended.set()


async def test_the_newest_is_closed_first_and_each_once() -> None:
    closed: list[str] = []
    closing = Closing()
    for name in ("log", "hub", "readers"):
        closing.add(name, Part(name, closed).close)
    await closing.aclose()
    await closing.aclose()
    assert closed == ["readers", "hub", "log"]


async def test_one_that_fails_is_logged_and_keeps_nothing_else_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed: list[str] = []
    closing = Closing()
    closing.add("log", Part("log", closed).close)
    closing.add("flags", Part("flags", closed, OSError("the disk is gone")).close)
    closing.add("hub", Part("hub", closed).close)
    await closing.aclose()
    assert closed == ["hub", "flags", "log"]
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "close_failed")
    assert record.fields["part"] == "flags"  # type: ignore[attr-defined]
    assert "the disk is gone" in record.fields["exception"]  # type: ignore[attr-defined]


async def test_one_that_does_not_end_is_logged_and_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []
    closing, deaf = Closing(part_seconds=0.01), Deaf()
    closing.add("log", Part("log", closed).close)
    closing.add("flags", deaf.close)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await closing.aclose()
        assert closed == ["log"]
        (record,) = caplog.records
        assert (record.levelno, record.getMessage()) == (logging.ERROR, "close_failed")
        assert record.fields == {  # type: ignore[attr-defined]
            "part": "flags",
            "detail": "It did not end within 0.01 s.",
            "waits_in": "Deaf.close > Event.wait",
        }
        deaf.heard.set()
        await deaf.ended.wait()
    assert deaf.cancellations == 1


async def test_one_that_was_cancelled_is_logged_and_keeps_nothing_else_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    closed: list[str] = []
    closing = Closing()
    closing.add("log", Part("log", closed).close)
    closing.add("flags", cancelled)
    await closing.aclose()
    assert closed == ["log"]
    (record,) = caplog.records
    assert record.fields["part"] == "flags"  # type: ignore[attr-defined]


async def test_whoever_is_cancelled_while_closing_closes_the_rest() -> None:
    closed: list[str] = []
    closing, deaf = Closing(), Deaf()
    closing.add("log", Part("log", closed).close)
    closing.add("flags", deaf.close)
    ending = asyncio.ensure_future(closing.aclose())
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert closed == ["log"]
    deaf.heard.set()
    await deaf.ended.wait()


DEAF_TASK = """
async def hang():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def main():
    deaf = asyncio.create_task(hang(), name="deaf")
    await asyncio.sleep(0)
    exit_within(0.1)
"""
THREAD_OF_AN_EXECUTOR = """
async def main():
    asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1, "flags"), threading.Event().wait)
    exit_within(0.1)
"""
NOTHING = """
async def main():
    exit_within(3600)
"""


async def ended(main: str) -> tuple[int | None, str]:
    """The exit code of a process that runs `main` to its end, and what it logged."""
    begin = (
        "import asyncio, threading; from concurrent.futures import ThreadPoolExecutor;"
        "from gateway.runtime.logs import configure; from gateway.runtime.stopping import exit_within;"
        "configure('info')"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{begin}\n{main}\nasyncio.run(main())"), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return process.returncode, err.decode()


@pytest.mark.parametrize(
    ("main", "left"),
    [
        pytest.param(DEAF_TASK, 'tasks="deaf: hang > Event.wait', id="a task"),
        pytest.param(THREAD_OF_AN_EXECUTOR, "flags_0: File", id="a thread that the interpreter waits for"),
    ],
)
async def test_what_hangs_does_not_keep_a_process_that_has_to_be_gone(main: str, left: str) -> None:
    code, log = await ended(main)
    assert code == CUT_OFF
    assert "level=error event=stop_cut_off" in log
    assert left in log


async def test_a_process_that_ends_in_time_ends_at_once_and_with_its_own_code() -> None:
    assert await ended(NOTHING) == (0, "")
