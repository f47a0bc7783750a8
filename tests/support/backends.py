"""Backends of other makes, as teams have them, each on a port of its own and ended with the test.

Their files are in tests/integration/backends.
"""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.debian import install, missing
from tests.support.http import DEADLINE_SECONDS
from tests.support.npm import require
from tests.support.ports import own_port

FILES = Path(__file__).parents[1] / "integration" / "backends"
EXPRESS = ("express@5", "compression@1", "graphql@16", "graphql-http@1")


@contextlib.contextmanager
def express(script: Path) -> Iterator[str]:
    """The shop of express.mjs; `script` is a copy of it beside what it imports. Gives the URL."""
    with own_port() as port, _running([require("node"), str(script), str(port)], script.parent, port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def json_server(program: Path, directory: Path) -> Iterator[str]:
    """json-server with the orders of json_server.json, of which `directory` gets a copy. Gives the URL."""
    data = shutil.copy(FILES / "json_server.json", directory)
    command = [require("node"), str(program), "--host", "127.0.0.1", "--quiet", str(data)]
    with own_port() as port, _running([*command, "--port", str(port)], directory, port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def django_shop(django: Mapping[str, str], directory: Path, database: str | None = None) -> Iterator[str]:
    """The bookings of django_shop.py, in a file of `directory` or in that Postgres. Gives the URL.

    `django` is the environment in which Python finds it.
    """
    command = [sys.executable, str(FILES / "django_shop.py")]
    environment = {**django, "SHOP_DATABASE": database or str(directory / "shop.sqlite3")}
    with own_port() as port, _running([*command, str(port)], directory, port, environment):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def alertmanager(directory: Path) -> Iterator[str]:
    """Debian's Alertmanager without a cluster. Gives the URL."""
    program = _of_debian("prometheus-alertmanager", "prometheus-alertmanager")
    with own_port() as port:
        command = [
            program,
            f"--config.file={FILES / 'alertmanager.yml'}",
            f"--storage.path={directory}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        with _running(command, directory, port):
            yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def prometheus(directory: Path) -> Iterator[str]:
    """Debian's Prometheus, whose one target is not there. Gives the URL."""
    program = _of_debian("prometheus", "prometheus")
    with own_port() as port:
        command = [
            program,
            f"--config.file={FILES / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with _running(command, directory, port):
            yield f"http://127.0.0.1:{port}"


def _of_debian(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None and install(package):
        found = shutil.which(program)
    if found is None:
        missing(f"{program} is not installed: apt-get install {package}")
    return found


@contextlib.contextmanager
def _running(
    command: Sequence[str], directory: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Runs a server until the end, from when it answers at its port."""
    log = directory / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        while not _is_ready(port):
            if process.poll() is not None:
                raise AssertionError(f"{Path(command[0]).name} ended: {log.read_text()}")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_SECONDS)


def _is_ready(port: int) -> bool:
    """Whether it answers, and not only that it is starting."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    try:
        asking.request("GET", "/-/ready")
        return asking.getresponse().status < 500
    except OSError:
        return False
    finally:
        asking.close()
