"""nginx with nchan: the system's, or Debian's packages unpacked into a folder of the benchmark."""

import re
import resource
import shutil
import socket
import subprocess
from pathlib import Path

from loadtests.dialect import Dialect
from loadtests.peer_servers.peer import MissingError, Peer, run
from loadtests.server import Kind, Launch

CONFIG = Path(__file__).with_name("nchan.conf")
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
PACKAGES = ("nginx", "libnginx-mod-nchan")
# Compiled into Debian's nginx. nchan has it make its folders there, whatever the configuration says.
STATE = Path("/var/lib/nginx")
BACKLOG = 1024
# 202 where somebody is subscribed, 201 where nobody is.
DIALECT = Dialect("/sub", "/pub", greets=False, positions=False, accepted=frozenset({201, 202}))


def prepare(folder: Path) -> Peer:
    """nginx with the module, unpacked into `folder` where the system has none; else MissingError."""
    nginx, module = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin"), MODULE
    if nginx is None or not module.exists():
        nginx, module = _unpacked(folder)
    try:
        STATE.mkdir(exist_ok=True)
    except OSError as error:
        raise MissingError(f"nginx needs {STATE}, which can't be made: {error.strerror}") from error
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"nginx/([0-9.]+)", said)
    if found is None:
        raise MissingError(f"{nginx} does not run: {said.strip()[:200]}")
    return Peer(
        Kind("nchan", lambda where: launch(Path(nginx), module, where), DIALECT),
        f"nginx {found[1]} with nchan {_package_version(module)}",
    )


def _unpacked(folder: Path) -> tuple[str, Path]:
    """Unpacked and not installed: the system stays as it is, and no nginx starts by itself."""
    root = folder / "root"
    nginx, module = root / "usr/sbin/nginx", root / MODULE.relative_to("/")
    if not (nginx.exists() and module.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            run(["apt-get", "download", *PACKAGES], folder)
        except MissingError:
            # A fresh machine has no lists of packages yet; only root may fetch them.
            run(["apt-get", "update"], folder)
            run(["apt-get", "download", *PACKAGES], folder)
        for package in sorted(folder.glob("*.deb")):
            run(["dpkg-deb", "-x", str(package), str(root)], folder)
    return str(nginx), module


def _package_version(module: Path) -> str:
    """The package's version: of the installed one, or of the file that was unpacked."""
    if module == MODULE:
        asked = ["dpkg-query", "-W", "-f", "${Version}", PACKAGES[1]]
    else:
        package = next(module.parents[4].parent.glob(f"{PACKAGES[1]}_*.deb"))
        asked = ["dpkg-deb", "-f", str(package), "Version"]
    return run(asked, Path("/")).strip() or "of unknown version"


def launch(nginx: Path, module: Path, folder: Path) -> Launch:
    """nginx with that module on any free port; its files go into `folder`.

    It takes the listening socket over from the variable NGINX, as when its binary is replaced.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    host, port = listener.getsockname()
    values = {
        "MODULE": str(module),
        "FILES": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        "FOLDER": str(folder),
        "ADDRESS": f"{host}:{port}",
    }
    config = folder / "nginx.conf"
    config.write_text(re.sub(r"@([A-Z]+)@", lambda name: values[name[1]], CONFIG.read_text()))
    arguments = [str(nginx), "-p", f"{folder}/", "-c", str(config), "-e", "stderr"]
    # One child: the worker. As a single process it dies of a double free when it is told to end.
    return Launch(arguments, listener, {"NGINX": f"{listener.fileno()};"}, children=1)
