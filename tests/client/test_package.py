"""The client as a package of npm: installed from its folder, whole, and of this distribution's version."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from gateway.core.version import __version__
from tests.support.npm import install, require

STATIC = Path(__file__).parent.parent.parent / "gateway" / "static"
PACKAGE = json.loads((STATIC / "package.json").read_text())
EXPORTED = [
    path
    for target in PACKAGE["exports"].values()
    for path in ([target] if isinstance(target, str) else target.values())
]


def test_the_versions_are_the_same() -> None:
    told = re.findall(r'clientVersion: .*"(.+)"', (STATIC / "parts" / "settings.js").read_text())
    assert [PACKAGE["version"], *told] == [__version__, __version__]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("package")
    install(root, "--install-links", str(STATIC))
    return root


def test_all_that_is_exported_is_installed_and_nothing_of_python(installed: Path) -> None:
    package = installed / "node_modules" / "tidegate"
    assert [path for path in EXPORTED if not (package / path).is_file()] == []
    there = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    assert {path for path in there if path.suffix not in {".js", ".ts", ".css", ".json"}} == set()
    assert {path.relative_to(STATIC) for path in STATIC.rglob("*.js")} <= there


def test_what_is_installed_is_imported_by_its_name(installed: Path) -> None:
    script = 'import("tidegate").then(({ createSync }) => process.stdout.write(typeof createSync))'
    running = subprocess.run(
        [require("node"), "--input-type=module", "--eval", script],
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (running.stdout, running.stderr) == ("function", "")
