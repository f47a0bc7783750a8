"""The proxies of docs/operations.md, each as that page has it, in front of a gateway on loopback."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.debian import install, missing
from tests.support.http import DEADLINE_SECONDS
from tests.support.ports import own_port

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_GATEWAY = "127.0.0.1:8080"
_APACHE_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "headers", "rewrite")


class Configured(NamedTuple):
    """What is to be run for a configuration: files of `directory`, and the command in the foreground."""

    files: dict[str, str]
    command: Sequence[str]


def _nginx(text: str, directory: Path, port: int) -> Configured:
    text = f"pid {directory}/pid; error_log {directory}/error.log;\n" + _listening(text, "listen 80;", port)
    text = text.replace("http {", f"http {{ access_log off; {_nginx_temporary(directory)}")
    command = ("nginx", "-p", str(directory), "-c", str(directory / "conf"), "-g", "daemon off;")
    return Configured({"conf": text}, command)


def _nginx_temporary(directory: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)


def _haproxy(text: str, directory: Path, port: int) -> Configured:
    text = _listening(text, "bind :80", port).replace("/etc/haproxy", str(directory))
    page = fenced("http").replace("\n", "\r\n")
    return Configured({"conf": text, "again.http": page}, ("haproxy", "-db", "-f", str(directory / "conf")))


def _caddy(text: str, directory: Path, port: int) -> Configured:
    text = "{\n\tadmin off\n}\n" + _listening(text, "http://:80 ", port)
    command = ("caddy", "run", "--adapter", "caddyfile", "--config", str(directory / "conf"))
    return Configured({"conf": text}, command)


def _apache(text: str, directory: Path, port: int) -> Configured:
    modules = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _APACHE_MODULES]
    base = (f"ServerRoot {directory}", f"PidFile {directory}/pid", f"ErrorLog {directory}/error.log")
    text = _listening(text, "<VirtualHost *:80>", port)
    text = "\n".join((*base, *modules, "ServerName localhost", f"Listen {port}", text))
    return Configured({"conf": text}, ("apache2", "-D", "FOREGROUND", "-f", str(directory / "conf")))


class _Kind(NamedTuple):
    package: str
    configure: Callable[[str, Path, int], Configured]


_KINDS = {
    "nginx": _Kind("nginx", _nginx),
    "haproxy": _Kind("haproxy", _haproxy),
    "caddy": _Kind("caddy", _caddy),
    "apache": _Kind("apache2", _apache),
}
KINDS = tuple(_KINDS)


def fenced(name: str) -> str:
    """The page's block of that name, without its fence."""
    blocks = re.findall(rf"^```{name}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"docs/operations.md has {len(blocks)} blocks named {name}"
    return str(blocks[0])


@contextmanager
def in_front(kind: str, gateway_port: int, directory: Path) -> Iterator[int]:
    """Runs that proxy before 127.0.0.1:`gateway_port`, and gives its own port once it answers there."""
    package, configure = _KINDS[kind]
    program = "apache2" if kind == "apache" else kind
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
    if shutil.which(program, path=path) is None and not install(package):
        missing(f"{program} is not installed: apt-get install {package}")
    with own_port() as port:
        text = fenced(kind).replace(_GATEWAY, f"127.0.0.1:{gateway_port}")
        configured = configure(text, directory, port)
        for name, content in configured.files.items():
            (directory / name).write_bytes(content.encode())
        log = directory / "output.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                configured.command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | {"PATH": path, "HOME": str(directory)},
            )
        try:
            _wait_for(port, process, log)
            yield port
        finally:
            # All of its processes: a proxy that is asked to end waits for its streams.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_SECONDS)


def _listening(text: str, place: str, port: int) -> str:
    assert place in text, f"the configuration does not say {place!r}"
    return text.replace(place, place.replace("80", str(port)))


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(DEADLINE_SECONDS)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"the proxy ended: {log.read_text()}")
