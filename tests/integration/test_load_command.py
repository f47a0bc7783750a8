"""`make load` and the locustfile as commands: what they leave behind, and their exit codes."""

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.api import eventually
from tests.support.ports import own_port

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 300.0
PROCESSES = 3
"""What a run consists of: the orders application, the gateway, Locust."""


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )


async def run(*arguments: str) -> tuple[int | None, str]:
    """The exit code and the output."""
    process = await start(*arguments)
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def locust(*arguments: str) -> tuple[int | None, str]:
    return await run("-m", "locust", "-f", "loadtests/locustfile.py", *arguments)


@pytest.mark.slow
async def test_a_short_run_is_good_and_leaves_a_report(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    # How fast this machine is today is nothing that a test may depend on.
    lag = ("--max-lag-p99-ms", "60000")

    code, output = await run(
        "loadtests/load.py", "--users", "12", "--seconds", "10", "--report", str(report), *lag
    )

    assert code == 0, output
    page = report.read_text()
    assert "Looked at: " in output
    for row in ("delivery", "first event", "reconnect", "to streaming", "to polling", "publish", "storm"):
        assert row in page, row


@pytest.mark.slow
async def test_a_run_that_only_fails_ends_with_1_and_says_why() -> None:
    with own_port() as port:
        host = f"http://127.0.0.1:{port}"

        code, output = await locust(
            "--headless", "--host", host, "-u", "2", "-t", "5", "--plan", "", "LegacyPoller"
        )

    assert code == 1, output
    assert "FAILED: There were " in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--headless", "--host", "http://192.0.2.1:8080"), "not 'http://192.0.2.1:8080'"),
        (("--web-host", "0.0.0.0"), "not 'http://0.0.0.0'"),
        (("--headless", "-u", "5000"), "not 5,000"),
        (("--headless", "-t", "2h"), "not 7200"),
        (("--headless", "-u", "3"), "4 user classes"),
        (("--headless", "--max-lag-p99-ms", "nan"), "--max-lag-p99-ms takes a number"),
        (("--headless", "--plan", "flood"), "there is no flood"),
    ],
    ids=[
        "another machine",
        "a page for others",
        "too many users",
        "too long",
        "too few users",
        "no number",
        "an unknown plan",
    ],
)
async def test_a_run_out_of_bounds_is_refused_with_2(arguments: tuple[str, ...], sentence: str) -> None:
    code, output = await locust(*arguments)

    assert code == 2, output
    assert sentence in output


@pytest.mark.slow
async def test_a_run_whose_gateway_is_killed_ends_with_1_and_says_so() -> None:
    process = await start("loadtests/load.py", "--users", "4", "-t", "5s", "--plan", "")
    try:
        # Locust is begun once the gateway serves.
        await eventually(lambda: has_child(process, "locust"), "Locust runs")
        (server,) = (child for child in children_of(process) if "serve" in child.cmdline())
        server.kill()
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()

    assert process.returncode == 1
    assert "FAILED: the gateway ended with -9 in the middle of it" in output.decode()


async def has_child(process: asyncio.subprocess.Process, word: str) -> bool:
    return any(word in child.cmdline() for child in children_of(process))


def children_of(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


async def test_a_run_that_is_terminated_leaves_no_process_behind() -> None:
    process = await start("loadtests/load.py", "--users", "2", "--seconds", "60")
    try:
        children: set[psutil.Process] = set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(children) < PROCESSES:
                children |= set(psutil.Process(process.pid).children())
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()

    assert process.returncode == 128 + signal.SIGTERM
    assert [child for child in children if child.is_running()] == []
