"""The sessions of docs/cli.md, run as they are written: what the page shows is what the commands say."""

import asyncio
import os
import sys
from pathlib import Path

from tests.support.capture import ORDERS
from tests.support.http import DEADLINE_SECONDS
from tests.support.postgres import connected, execute, fresh_database
from tests.support.walk import Step, steps

ROOT = Path(__file__).parents[2]
WALK = steps((ROOT / "docs" / "cli.md").read_text())


def walk(program: str) -> list[Step]:
    found = [step for step in WALK if f"tidegate {program}" in step.command]
    assert found
    return found


async def say(step: Step, option: str = "") -> str:
    """What the step's command says, with `option` at the end of it: standard output, then error."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    process = await asyncio.create_subprocess_shell(
        f"{step.command.replace('tidegate', f'{sys.executable} -m gateway', 1)} {option}",
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        out, err = await process.communicate()
    return out.decode() + err.decode()


async def follow(found: list[Step], option: str = "") -> None:
    for step in found:
        said = await say(step, option)
        assert step.matches(said), f"$ {step.command}\n{said}"


def test_every_session_is_run_here() -> None:
    assert len(WALK) == sum(len(walk(program)) for program in ("flags", "postgres", "check-config"))


async def test_the_session_with_flags_goes_as_it_says(flagged) -> None:
    await follow(walk("flags"), f"--url http://127.0.0.1:{flagged.port}")


async def test_the_session_with_postgres_goes_as_it_says() -> None:
    with fresh_database() as url, connected(url) as application:
        execute(application, ORDERS)
        await follow(walk("postgres"), f"--url '{url}'")


async def test_what_a_configuration_is_said_to_be_is_what_it_is() -> None:
    await follow(walk("check-config"))
