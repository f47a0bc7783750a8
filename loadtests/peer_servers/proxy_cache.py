"""nginx as a cache in front of a list (`proxy_cache`): the system's own nginx."""

import os
import re
import resource
import shutil
import socket
from pathlib import Path

from loadtests.peer_servers.peer import MissingError
from loadtests.server import Kind, Launch

CONFIG = Path(__file__).with_name("proxy_cache.conf")
NAME = "nginx proxy_cache"
FROM_CACHE = "X-Cache-Status: HIT"
BACKLOG = 4096


def proxy_cache(upstream: str) -> Kind:
    """nginx that keeps what `upstream` (a URL of http, without a path) answers; its answers say whether they
    come from there (HIT). MissingError where there is no nginx."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if nginx is None:
        raise MissingError("there is no nginx here: install it (apt-get install nginx-light)")
    return Kind(NAME, lambda folder: _launch(nginx, upstream, folder))


def _launch(nginx: str, upstream: str, folder: Path) -> Launch:
    """It takes the listening socket over from the variable NGINX, as when its binary is replaced."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    host, port = listener.getsockname()
    values = {
        # Else a worker that root starts could not write into the benchmark's folder.
        "USER": "user root;" if os.geteuid() == 0 else "",
        "FILES": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        "FOLDER": str(folder),
        "ADDRESS": f"{host}:{port}",
        "UPSTREAM": upstream.removeprefix("http://"),
    }
    config = folder / "nginx.conf"
    config.write_text(re.sub(r"@([A-Z]+)@", lambda name: values[name[1]], CONFIG.read_text()))
    arguments = [nginx, "-p", f"{folder}/", "-c", str(config), "-e", "stderr"]
    return Launch(arguments, listener, {"NGINX": f"{listener.fileno()};"}, children=1)
