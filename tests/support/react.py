"""React from npm, as one module that a page can import."""

import subprocess
from pathlib import Path

from tests.support.npm import install, require

_ESBUILD = "esbuild@0.25"
_MODULE = """
import React from "react";
import { createRoot } from "react-dom/client";
export { React, createRoot };
"""
_BUNDLING_SECONDS = 120


def bundled(version: int, directory: Path) -> Path:
    """A module of React's development build, which exports `React` and `createRoot`; made in `directory`."""
    install(directory, _ESBUILD, f"react@{version}", f"react-dom@{version}")
    (directory / "module.js").write_text(_MODULE)
    subprocess.run(
        [
            *(require("node"), "node_modules/esbuild/bin/esbuild", "module.js", "--outfile=react.js"),
            *(
                "--bundle",
                "--format=esm",
                '--define:process.env.NODE_ENV="development"',
                "--log-level=warning",
            ),
        ],
        cwd=directory,
        timeout=_BUNDLING_SECONDS,
        check=True,
    )
    return directory / "react.js"
