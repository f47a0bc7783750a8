"""sse-starlette on uvicorn, from PyPI, in an environment of its own."""

import sys
from pathlib import Path

from loadtests.dialect import Dialect
from loadtests.peer_servers.peer import Peer, run
from loadtests.server import python_server

SCRIPT = Path(__file__).with_name("sse_starlette_server.py")
PACKAGES = ("sse-starlette>=3.4", "uvicorn[standard]>=0.49", "orjson>=3.11")
NAMED = ("sse-starlette", "starlette", "uvicorn", "uvloop")


def prepare(folder: Path) -> Peer:
    """An environment with the packages; MissingError where it can't be made."""
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], folder)
        run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], folder
        )
        done.touch()
    ask = f"from importlib.metadata import version; print(*(n + ' ' + version(n) for n in {NAMED}), sep=', ')"
    versions = run([str(python), "-c", ask], folder).strip()
    return Peer(python_server("sse-starlette", SCRIPT, str(python), Dialect(positions=False)), versions)
