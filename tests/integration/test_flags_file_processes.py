"""The flags file under several programs, and under programs that are killed at any moment."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.flags import open_store, stored

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


def start_writer(path: Path, who: str, changes: int, *lines: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.support.flag_writer", str(path), who, str(changes)]
    return subprocess.Popen(
        [*command, *map(str, lines)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(writer: "subprocess.Popen[str]") -> list[str]:
    """The lines that it printed, once it has ended."""
    try:
        printed, complaints = writer.communicate(timeout=DEADLINE_SECONDS)
    finally:
        writer.kill()
    assert writer.returncode == 0, complaints
    return printed.splitlines()


def test_two_programs_make_all_their_changes_one_after_the_other(path: Path) -> None:
    writers = [start_writer(path, who, 40) for who in ("ann", "bob")]
    acknowledged = [[int(line) for line in finish(writer)] for writer in writers]

    history = stored(path).revisions("orders").entries
    assert sorted(revision for revisions in acknowledged for revision in revisions) == [
        entry.revision for entry in history[1:]
    ]
    for who, revisions in zip(("ann", "bob"), acknowledged, strict=True):
        assert [entry.revision for entry in history[1:] if entry.who == who] == revisions


def test_a_program_that_dies_at_any_line_leaves_a_whole_file_with_all_it_acknowledged(path: Path) -> None:
    lines = random.Random(1).sample(range(1, 400), 40)
    reports: list[dict[str, Any]] = [
        json.loads(line) for line in finish(start_writer(path, "ann", 9, *lines))
    ]

    assert len(reports) == len(lines)
    assert all(report["killed"] for report in reports)
    before = 0
    for report in reports:
        last = max(report["acknowledged"], before)
        assert report["found"] in (last, last + 1)
        assert set(report["files"]) <= {"flags.json", "flags.json.lock", "flags.json.new"}
        before = report["found"]
    assert stored(path).revisions("orders").last == before


async def test_a_program_that_is_killed_at_random_loses_nothing_that_it_acknowledged(path: Path) -> None:
    rng = random.Random(2)
    for _ in range(4):
        writer = start_writer(path, "ann", 10_000)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(rng.randrange(1, 30))]
        writer.kill()
        # Not by `communicate`, which passes over what `readline` has read ahead.
        acknowledged += [int(line) for line in writer.stdout.read().splitlines()]
        writer.communicate(timeout=DEADLINE_SECONDS)

        async with open_store(path) as store:
            history = store.revisions("orders")
            assert history.last in (acknowledged[-1], acknowledged[-1] + 1)
            held = {entry.revision for entry in history.entries}
            assert held >= {revision for revision in acknowledged if revision > history.dropped}
            assert history.state_at(acknowledged[-1]) is not None
