"""The README's commands, run as they are written; only the port is another."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from gateway.service.config import load_settings
from tests.support.command import command
from tests.support.http import DEADLINE_SECONDS
from tests.support.walk import Step, steps

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
READMES_ADDRESS = "http://127.0.0.1:8080"
DEMO_LINE = "The demo is at "
STEP_SECONDS = 120.0
"""When a step of the walk is given up; the longest, in which the guard finds a fault, takes about ten."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def lines(beginning: str) -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if beginning in line]


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with command("demo", "--port", "0", "--every", "0.5") as demo:
        line = await demo.line()
        assert line.startswith(DEMO_LINE)
        yield line.removeprefix(DEMO_LINE).split()[0].rstrip("/")


async def shell(line: str, address: str) -> tuple[int, str]:
    """Runs a command of the README on the demo at `address`: its exit code and standard output."""
    here = line.replace(READMES_ADDRESS, address).replace(
        ".venv/bin/tidegate", f"{sys.executable} -m gateway"
    )
    here = re.sub(r"(-m gateway (?:tail|publish|flags \w+))", rf"\1 --url {address}", here)
    here = here.replace("-m gateway demo", f"-m gateway demo --port {address.rpartition(':')[2]}")
    process = await asyncio.create_subprocess_shell(
        here, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        out, err = await process.communicate()
    print(f"$ {here}\n{out.decode()}{err.decode()}")
    assert process.returncode is not None
    return process.returncode, out.decode()


@asynccontextmanager
async def open_page(address: str) -> AsyncIterator[None]:
    """Somebody wants the orders meanwhile, as the page does, so that the gateway asks for them."""
    page = asyncio.create_task(keep_polling(address))
    try:
        yield
        assert not page.done(), "polling has failed"
    finally:
        page.cancel()
        await asyncio.wait({page})


async def keep_polling(address: str) -> None:
    cursor = "earliest"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        while True:
            query = {"entity": "order", "wait": "5", "cursor": cursor}
            async with session.get(f"{address}/api/v1/sync/poll", params=query) as response:
                cursor = (await response.json())["cursor"]


async def take(step: Step, address: str) -> None:
    """Runs the step's command until its output is what the README says; one that changes something, once."""
    changes = re.search(r" --(reason|fault) ", step.command)
    expected = replace(step, expected=step.expected.replace(READMES_ADDRESS, address))
    out = ""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            while not expected.matches(out):
                assert not (out and changes), f"{step.command} gave {out!r}"
                code, out = await shell(step.command, address)
                assert code == 0
    except TimeoutError:
        raise AssertionError(f"{step.command} last gave {out}") from None


async def test_its_walk_through_a_migration_goes_as_it_says(address: str) -> None:
    walk = steps(README)
    assert len(walk) > 10
    async with open_page(address):
        for step in walk:
            await take(step, address)


async def test_publish_takes_the_event(address: str) -> None:
    (line,) = lines("tidegate publish")
    code, _ = await shell(line, address)
    assert code == 0


async def test_the_configuration_that_it_names_is_checked_and_served(address: str) -> None:
    (check,) = lines("check-config")
    code, _ = await shell(check, address)
    assert code == 0
    (serve,) = lines("tidegate serve")
    async with command(*serve.split()[1:], TIDEGATE_SERVER__PORT="0") as gateway:
        assert (await gateway.line()).startswith("tidegate serving on ")


def test_the_configuration_that_it_shows_can_be_loaded(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    file = tmp_path / "tidegate.toml"
    file.write_text(block)
    assert load_settings(file).legacy[0].path == "/api/v1/orders"


def test_every_page_that_it_links_is_there() -> None:
    pages = set(re.findall(r"\]\(([^)#:]+)\)", README))
    assert pages
    assert all((ROOT / page).is_file() for page in pages)


def test_its_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\S+)", README, re.MULTILINE)
    assert targets == ["run", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
