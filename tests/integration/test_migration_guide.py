"""The commands of docs/migration.md, run as they are written, from the first stage to the last."""

import re
import shlex
from pathlib import Path

from flags.decide.stages import Stage
from tests.support.admin import ORDERS
from tests.support.command import run
from tests.support.walk import steps

GUIDE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"^ *```sh\n(.*?)```", GUIDE, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines]


async def test_its_commands_take_a_component_through_every_stage(flagged, admin, tmp_path, monkeypatch):
    (tmp_path / "guard.json").write_text('{"pollIntervalMs": 5000, "guard": {"minSamples": 50}}')
    monkeypatch.chdir(tmp_path)
    stages = []
    for program, *arguments in commands():
        code, _, err = await run(*arguments, "--url", f"http://127.0.0.1:{flagged.port}")
        assert (program, code) == ("tidegate", 0), err
        stage = (await admin.get(ORDERS)).json()["stage"]
        stages += [stage] if stage not in stages else []

    assert stages == list(Stage)
    flag = (await admin.get(ORDERS)).json()
    assert flag["sunset"] == "2027-01-31T00:00:00.000Z"
    assert flag["guard"]["minSamples"] == 50


async def test_its_examples_of_targeting_do_what_it_says(flagged, admin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    await admin.make(stage="off")
    await admin.patch(stage="shadow")
    examples = re.findall(r"^```json\n(.*?)^```\n\n(^```console\n.*?^```)", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    for rules, session in examples:
        (tmp_path / "targeting.json").write_text(rules)
        for step in steps(session):
            program, *arguments = shlex.split(step.command)
            code, out, err = await run(*arguments, "--url", f"http://127.0.0.1:{flagged.port}")
            assert (program, code) == ("tidegate", 0), err
            assert step.matches(out), f"$ {step.command}\n{out}"


def test_every_page_that_it_links_and_every_file_that_it_names_is_there():
    root = Path(__file__).parents[2]
    pages = set(re.findall(r"\]\(([^)#:]+)\)", GUIDE))
    files = set(re.findall(r"`(gateway/\S+)`", GUIDE))
    assert pages
    assert files
    assert all((root / "docs" / page).is_file() for page in pages)
    assert all((root / file).is_file() for file in files)
