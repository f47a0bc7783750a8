"""The browser client's own tests, in Node: one test here for each `*.test.js` beside this file."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.npm import install, require

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
PACKAGES = ("fast-check@3", "jsdom@26", "@tanstack/query-core@5", "swr@2")
REACT_18 = (*PACKAGES, "react@18", "react-dom@18")
REACT_19 = (*PACKAGES, "react@19", "react-dom@19")
DOCS = ("typescript@5", "@types/react@19", "@tanstack/react-query@5", *REACT_19)
BESIDE = {
    "docs.test.js": (DOCS,),
    "react.test.js": (REACT_18, REACT_19),
    "react_sync.test.js": (REACT_18, REACT_19),
}
"""The packages that a test is run beside, where those are not the newest."""
RUNS = [
    pytest.param(script.name, packages, id=f"{script.name.removesuffix('.test.js')}-{packages[-1]}")
    for script in sorted(HERE.glob("*.test.js"))
    for packages in BESIDE.get(script.name, (REACT_19,))
]
DEADLINE_SECONDS = 300

Workshop = Callable[[tuple[str, ...]], Path]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Gives a copy of the tests beside packages, made once a session: modules look for theirs above them."""

    @functools.cache
    def made(packages: tuple[str, ...]) -> Path:
        root = tmp_path_factory.mktemp("client")
        install(root, *packages)
        shutil.copytree(
            HERE, root / "tests" / "client", ignore=shutil.ignore_patterns("node_modules", "__pycache__")
        )
        for name in ("gateway", "docs"):
            (root / name).symlink_to(PROJECT / name)
        return root

    return made


@pytest.mark.parametrize(("script", "packages"), RUNS)
def test_node_says_that_all_holds(workshop: Workshop, script: str, packages: tuple[str, ...]) -> None:
    root = workshop(packages)
    running = subprocess.run(
        [require("node"), "--test", "--test-reporter=spec", f"tests/client/{script}"],
        cwd=root,
        env=os.environ | {"NODE_PATH": str(root / "node_modules")},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert running.returncode == 0, running.stdout + running.stderr
