"""What the client's .d.ts files promise: samples of use are accepted, and what is marked in them refused."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.npm import install, require

HERE = Path(__file__).parent
STATIC = HERE.parent.parent / "gateway" / "static"
PACKAGES = ("typescript@5", "@types/react@19", "@tanstack/query-core@5", "swr@2", "react@19")
OPTIONS = ("--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--jsx", "react")
RESOLUTIONS = {
    "node": ("--module", "nodenext", "--moduleResolution", "nodenext"),
    "bundler": ("--module", "esnext", "--moduleResolution", "bundler"),
}
SAMPLES = sorted(sample for sample in (HERE / "types").iterdir() if sample.suffix in {".ts", ".tsx"})
DEADLINE_SECONDS = 300


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of somebody else: the client as a package of npm, and the samples beside it."""
    root = tmp_path_factory.mktemp("types")
    install(root, *PACKAGES)
    shutil.copytree(
        STATIC, root / "node_modules" / "tidegate", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    for sample in SAMPLES:
        shutil.copy(sample, root)
    (root / "package.json").write_text('{"private": true, "type": "module"}')
    return root


def compiled(root: Path, *arguments: str) -> str:
    """What the compiler has to say; nothing where all is well."""
    command = [require("node"), "node_modules/typescript/bin/tsc", *OPTIONS, *arguments]
    compiling = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    return compiling.stdout + compiling.stderr


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_samples_of_use_are_accepted_and_wrong_ones_refused(workshop: Path, resolution: str) -> None:
    assert compiled(workshop, *RESOLUTIONS[resolution], *(sample.name for sample in SAMPLES)) == ""


def test_a_wrong_use_is_named(workshop: Path) -> None:
    wrong = workshop / "wrong.ts"
    wrong.write_text('import { createSync } from "tidegate";\ncreateSync({ baseURL: "/" });\n')
    assert "'baseURL' does not exist in type 'SyncOptions'" in compiled(
        workshop, *RESOLUTIONS["node"], wrong.name
    )
