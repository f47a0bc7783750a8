"""Node's better-sse, from npm."""

import json
import shutil
from pathlib import Path

from loadtests.dialect import Dialect
from loadtests.peer_servers.peer import Peer, run
from loadtests.server import Kind, Launch

SCRIPT = Path(__file__).with_name("better_sse_server.mjs")
PACKAGE = "better-sse@^0.16.1"


def prepare(folder: Path) -> Peer:
    """better-sse in a folder of its own; MissingError where there is no node or npm can't install it."""
    folder.mkdir(parents=True, exist_ok=True)
    node = run(["node", "--version"], folder).strip()
    package = folder / "node_modules" / "better-sse" / "package.json"
    if not package.exists():
        run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", PACKAGE], folder)
    # Node looks for packages beside the script.
    script = shutil.copy(SCRIPT, folder)
    version = json.loads(package.read_text())["version"]
    return Peer(
        Kind("better-sse", lambda _: Launch(["node", str(script)]), Dialect(positions=False)),
        f"better-sse {version} on Node {node}",
    )
