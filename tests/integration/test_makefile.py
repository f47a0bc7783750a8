"""What `make` says where the machine lacks something: one sentence, before anything is made."""

import shutil
import subprocess
from pathlib import Path

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
