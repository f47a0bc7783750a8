"""The README's commands, run as they are written; only the port is another."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config import load_settings
from tests.support.command import command
from tests.support.http import DEADLINE_SECONDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DEMO_LINE = "The demo is at "


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def lines(beginning: str) -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if beginning in line]


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with command("demo", "--port", "0", "--every", "0.1") as demo:
        line = await demo.line()
        assert line.startswith(DEMO_LINE)
        yield line.removeprefix(DEMO_LINE).split()[0].rstrip("/")


async def shell(line: str, address: str) -> tuple[int, str]:
    tidegate = f"{sys.executable} -m gateway"
    here = line.replace("http://127.0.0.1:8080", address).replace(".venv/bin/tidegate", tidegate)
    for name in ("tail", "publish", "flags set", "flags explain", "flags rollback"):
        here = here.replace(f"-m gateway {name}", f"-m gateway {name} --url {address}")
    process = await asyncio.create_subprocess_shell(
        here, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_the_tail_shows_the_demos_events(address: str) -> None:
    (line,) = lines("tidegate tail")
    code, out = await shell(line, address)
    assert code == 0
    assert "order" in out


async def test_curl_gets_the_stream_and_the_legacy_endpoint(address: str) -> None:
    stream, legacy = lines("curl")
    _, out = await shell(stream.replace("--max-time 10", "--max-time 1"), address)
    assert "event: connected\n" in out
    _, out = await shell(legacy, address)
    assert "Sync-Cursor: " in out


async def test_the_flags_move_as_it_says(address: str) -> None:
    for line in lines("tidegate flags"):
        code, out = await shell(line, address)
        assert code == 0, out


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
