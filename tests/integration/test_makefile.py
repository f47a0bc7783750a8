"""What `make` says where the machine lacks something, and where a thorough run of the tests failed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(directory: Path, python: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, directory)
    return subprocess.run(
        ["make", "--silent", f"PYTHON={python}", ".venv/.installed"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_gets_one_clear_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$2" in *platform*) echo 3.9.18;; *) exit 1;; esac\n')
    old.chmod(0o755)
    ended = make(tmp_path, str(old))
    assert ended.returncode != 0
    assert ended.stdout == (
        f"Tidegate needs Python 3.11 or newer; {old} is 3.9.18. "
        "Name another one with PYTHON=/path/to/python3.11.\n"
    )
    assert not (tmp_path / ".venv").exists()


def test_no_python_gets_one_clear_sentence(tmp_path: Path) -> None:
    ended = make(tmp_path, "python-that-is-not-there")
    assert ended.returncode != 0
    assert "there is no python-that-is-not-there here" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1


@pytest.fixture
def thorough(tmp_path: Path) -> Path:
    """A directory in which `make test-thorough` fails, and says what was run."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    installed = tmp_path / ".venv" / ".installed"
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    installed.touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$1" in -c) exec "{sys.executable}" "$@";; '
        '*) echo "$TIDEGATE_HYPOTHESIS_PROFILE: $*"; exit 1;; esac\n'
    )
    python.chmod(0o755)
    return tmp_path


def run_thorough(directory: Path, **environ: str) -> str:
    """The seed of a run that failed."""
    ended = subprocess.run(
        ["make", "--silent", "test-thorough"],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    before, ran, after = ended.stdout.splitlines()
    assert before == after
    ((seed, command),) = re.findall(r"TIDEGATE_HYPOTHESIS_SEED=(\d+) (.*)", after)
    assert command == "make test-thorough"
    assert ran == f"thorough: -m pytest -m hypothesis --hypothesis-seed={seed}"
    return str(seed)


def test_a_thorough_run_draws_anew_each_time_and_says_how_to_repeat_it(thorough: Path) -> None:
    seeds = {run_thorough(thorough) for _ in range(3)}
    assert len(seeds) > 1
    for seed in seeds:
        assert run_thorough(thorough, TIDEGATE_HYPOTHESIS_SEED=seed) == seed


def test_a_thorough_run_leaves_no_property_out() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not hypothesis", "tests/property"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, ended.stdout
