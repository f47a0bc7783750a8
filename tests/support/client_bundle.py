"""Makes what browsers load of the client's parts: joined, minified, beside what is loaded on demand.

`make client` writes them; tests/client/test_bundle.py holds them to the parts, and to their size. As they are
written the parts take two and a half times as many bytes, and a round trip for each depth of imports.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.npm import install, require

STATIC = Path(__file__).parents[2] / "gateway" / "static"
_ON_DEMAND = ("auto_refresh.js", "shared.js", "writes.js")
BUNDLES: Mapping[str, str] = {"tidegate.js": "create_sync.js"} | {name: name for name in _ON_DEMAND}
"""Each file that is made, and the part that it begins with."""
_ESBUILD, _TERSER = "esbuild@0.28.2", "terser@5.51.4"
"""The very versions: others give other bytes."""
_HEADER = "// Made of parts/\n"


def build(workshop: Path) -> dict[str, str]:
    """The text of each bundle, made with tools that are installed into the folder `workshop`."""
    # Without the scripts that packages bring, esbuild starts through its own wrapper.
    install(workshop, _ESBUILD, _TERSER)
    return {name: _HEADER + _built(workshop, STATIC / "parts" / part) for name, part in BUNDLES.items()}


def _built(workshop: Path, part: Path) -> str:
    # What is loaded on demand stays a file of its own, beside this one.
    apart = [f"--external:./{name}" for name in _ON_DEMAND]
    joined = _run(workshop, "esbuild", part, "--bundle", "--format=esm", "--minify-syntax", *apart)
    return _run(
        workshop, "terser", "--module", "--ecma=2020", "--compress=passes=4", "--mangle", given=joined
    )


def _run(workshop: Path, tool: str, *arguments: str | Path, given: str = "") -> str:
    ran = subprocess.run(
        [require("node"), workshop / "node_modules" / tool / "bin" / tool, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{tool} failed: {ran.stderr}")
    return ran.stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, text in build(Path(folder)).items():
            (STATIC / name).write_text(text)
